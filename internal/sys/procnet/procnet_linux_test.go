package procnet

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// TestMain is also the program that listens: it prints its address and waits until its input ends.
func TestMain(m *testing.M) {
	if network := os.Getenv("PROCNET_LISTEN"); network != "" {
		l, err := net.Listen(network, os.Getenv("PROCNET_ADDR"))
		if err != nil {
			os.Exit(3)
		}
		_, _ = os.Stdout.WriteString(l.Addr().String() + "\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// listener starts a process that listens, and returns its pid and address.
func listener(t *testing.T, network, addr string) (pid int, at string) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "PROCNET_LISTEN="+network, "PROCNET_ADDR="+addr)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Skipf("nothing can listen on %s %s here: %v", network, addr, err)
	}
	return c.Process.Pid, line[:len(line)-1]
}

func TestListening(t *testing.T) {
	for _, c := range []struct{ network, addr string }{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}} {
		pid, at := listener(t, c.network, c.addr)
		got, err := Listening(context.Background(), pid, pid, 1<<30)
		if err != nil || len(got) != 1 || got[0].String() != at {
			t.Errorf("%s: %v, %v; want %s", c.network, got, err, at)
		}
		if holders, err := Holders(context.Background(), "tcp", int(got[0].AddrPort.Port())); err != nil ||
			!slices.Contains(holders, Holder{got[0], os.Getuid(), pid}) {
			t.Errorf("holders: %v, %v; want pid %d", holders, err, pid)
		}
	}
	pid, at := listener(t, "tcp", ":0")
	if got, err := Listening(context.Background(), pid); err != nil || len(got) != 1 || got[0].String() == at {
		t.Errorf("all addresses: %v, %v", got, err)
	}
}

func TestListeningUDP(t *testing.T) {
	var conn net.PacketConn
	for port := 20000; port < 20100 && conn == nil; port++ {
		conn, _ = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	}
	if conn == nil {
		t.Skip("no free port")
	}
	defer conn.Close()
	got, err := Listening(context.Background(), os.Getpid())
	if err != nil || len(got) != 1 || got[0].String() != conn.LocalAddr().String()+"/udp" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if got, err := Holders(context.Background(), "tcp", port); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Listening(ctx, os.Getpid()); err == nil {
		t.Error("no error of a context that has ended")
	}
}
