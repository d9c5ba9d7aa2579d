package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// machine is the Registry of this machine.
type machine struct{}

func registryHere() Registry { return machine{} }

// windowsUID is 0 for who may make services: an administrator whose process may use that.
func windowsUID() int {
	m, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CREATE_SERVICE)
	if err != nil {
		return 1
	}
	_ = windows.CloseServiceHandle(m)
	return 0
}

// open opens a service with the rights that are needed and no more: anybody may look.
func open(name string, access, managerAccess uint32) (*mgr.Service, func(), error) {
	m, err := windows.OpenSCManager(nil, nil, managerAccess)
	if err != nil {
		return nil, nil, fmt.Errorf("the service manager: %w", err)
	}
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		_ = windows.CloseServiceHandle(m)
		return nil, nil, err
	}
	h, err := windows.OpenService(m, p, access)
	if err != nil {
		_ = windows.CloseServiceHandle(m)
		return nil, nil, err
	}
	s := &mgr.Service{Name: name, Handle: h}
	return s, func() { _ = s.Close(); _ = windows.CloseServiceHandle(m) }, nil
}

func (machine) Service(name string) (*Service, error) {
	s, done, err := open(name, windows.SERVICE_QUERY_CONFIG|windows.SERVICE_QUERY_STATUS, windows.SC_MANAGER_CONNECT)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer done()
	found, err := settings(s)
	if err != nil || found == nil {
		return nil, err
	}
	status, err := s.Query()
	if err != nil {
		return nil, err
	}
	found.Active = status.State != svc.Stopped
	return found, nil
}

// maxSettings is the most that the system writes when it is asked for settings of a service, in bytes.
const maxSettings = 8 << 10

// settings are those of a service that are ours to set, without Env; nil for one of ours that Delete has removed as far as it
// could. Not every system that has services knows the other settings, which mgr.Service reads and writes as well.
func settings(s *mgr.Service) (*Service, error) {
	var n uint32
	b := make([]byte, maxSettings)
	c := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&b[0]))
	if err := windows.QueryServiceConfig(s.Handle, c, maxSettings, &n); err != nil {
		return nil, os.NewSyscallError("QueryServiceConfig", err)
	}
	more := make([]byte, maxSettings)
	if err := windows.QueryServiceConfig2(s.Handle, windows.SERVICE_CONFIG_DESCRIPTION, &more[0], maxSettings, &n); err != nil {
		return nil, os.NewSyscallError("QueryServiceConfig2", err)
	}
	d := (*windows.SERVICE_DESCRIPTION)(unsafe.Pointer(&more[0]))
	description := windows.UTF16PtrToString(d.Description)
	if c.StartType == windows.SERVICE_DISABLED && strings.HasSuffix(description, serviceMark) {
		return nil, nil
	}
	return &Service{
		Name: s.Name, Line: windows.UTF16PtrToString(c.BinaryPathName), Description: description,
		Automatic: c.StartType == windows.SERVICE_AUTO_START,
	}, nil
}

// serviceKey holds the definition of a service; the manager has no call for its environment.
func serviceKey(name string) string { return `SYSTEM\CurrentControlSet\Services\` + name }

func (machine) Put(s Service) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("the service manager: %w", err)
	}
	defer func() { _ = m.Disconnect() }()
	var name, line, description *uint16
	for to, text := range map[**uint16]string{&name: s.Name, &line: s.Line, &description: s.Description} {
		if *to, err = windows.UTF16PtrFromString(text); err != nil {
			return err
		}
	}
	start := uint32(windows.SERVICE_DEMAND_START)
	if s.Automatic {
		start = windows.SERVICE_AUTO_START
	}
	made, err := m.OpenService(s.Name)
	created := errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST)
	switch {
	case created:
		made = &mgr.Service{Name: s.Name}
		made.Handle, err = windows.CreateService(m.Handle, name, name, windows.SERVICE_ALL_ACCESS, windows.SERVICE_WIN32_OWN_PROCESS,
			start, windows.SERVICE_ERROR_NORMAL, line, nil, nil, nil, nil, nil)
	case err == nil:
		const same = windows.SERVICE_NO_CHANGE
		err = windows.ChangeServiceConfig(made.Handle, same, start, same, line, nil, nil, nil, nil, nil, nil)
	}
	if err != nil {
		if made != nil && made.Handle != 0 {
			_ = made.Close()
		}
		return err
	}
	defer made.Close()
	d := windows.SERVICE_DESCRIPTION{Description: description}
	err = windows.ChangeServiceConfig2(made.Handle, windows.SERVICE_CONFIG_DESCRIPTION, (*byte)(unsafe.Pointer(&d)))
	if err == nil {
		err = environment(s)
	}
	if err != nil && created {
		return errors.Join(err, made.Delete())
	}
	// However often it fails, it is started again; a system that cannot do that has no less of a service.
	_ = made.SetRecoveryActions([]mgr.RecoveryAction{{Type: mgr.ServiceRestart, Delay: time.Second}}, 60)
	return err
}

func environment(s Service) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, serviceKey(s.Name), registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	if len(s.Env) > 0 {
		return k.SetStringsValue("Environment", s.Env)
	}
	if err := k.DeleteValue("Environment"); !errors.Is(err, registry.ErrNotExist) {
		return err
	}
	return nil
}

// Delete removes a service. The system keeps one that runs, or that somebody looks at, until that is over: nobody can start it
// in the meantime, so that for us there is none any more.
func (machine) Delete(name string) error {
	s, done, err := open(name, windows.DELETE|windows.SERVICE_CHANGE_CONFIG, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return err
	}
	defer done()
	const same = windows.SERVICE_NO_CHANGE
	err = windows.ChangeServiceConfig(s.Handle, same, windows.SERVICE_DISABLED, same, nil, nil, nil, nil, nil, nil, nil)
	if err != nil {
		return os.NewSyscallError("ChangeServiceConfig", err)
	}
	return s.Delete()
}

func (machine) Start(name string) error {
	s, done, err := open(name, windows.SERVICE_START, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return err
	}
	defer done()
	return s.Start()
}

func (machine) Logon(name string) (line, mine string, err error) {
	for _, v := range []struct {
		key string
		to  *string
	}{{runKey, &line}, {mineKey, &mine}} {
		k, err := registry.OpenKey(registry.CURRENT_USER, v.key, registry.QUERY_VALUE)
		if errors.Is(err, registry.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		*v.to, _, err = k.GetStringValue(name)
		_ = k.Close()
		if err != nil && !errors.Is(err, registry.ErrNotExist) {
			return "", "", err
		}
	}
	return line, mine, nil
}

func (machine) Set(name, line string) error {
	// Ours is remembered first: when the second write fails, nothing foreign is taken for ours.
	keys := []string{mineKey, runKey}
	for _, key := range keys {
		k, _, err := registry.CreateKey(registry.CURRENT_USER, key, registry.SET_VALUE)
		if err != nil {
			return err
		}
		if line == "" {
			err = k.DeleteValue(name)
			if errors.Is(err, registry.ErrNotExist) {
				err = nil
			}
		} else {
			err = k.SetStringValue(name, line)
		}
		_ = k.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(key, `Software\`), err)
		}
	}
	return nil
}

// AsService runs the daemon as a service when Windows has started this process as one: run's context ends
// when the service is to stop. handled is false in every other process, and nothing was done. status is what run
// returned.
func AsService(ctx context.Context, run func(context.Context) int) (handled bool, status int, err error) {
	if is, err := fromServices(); err != nil || !is {
		return false, 0, err
	}
	s := &service{ctx: ctx, run: run}
	// A process that is one service alone is asked for no name.
	if err = svc.Run("", s); errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return false, 0, nil // the parent is called like that one, and is another
	}
	return true, s.status, err
}

// fromServices reports whether the service manager has started this process, as far as names tell.
func fromServices() (bool, error) {
	all, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return false, os.NewSyscallError("CreateToolhelp32Snapshot", err)
	}
	defer windows.CloseHandle(all)
	names, parent := map[uint32]string{}, uint32(0)
	e := windows.ProcessEntry32{}
	e.Size = uint32(unsafe.Sizeof(e))
	for err = windows.Process32First(all, &e); err == nil; err = windows.Process32Next(all, &e) {
		names[e.ProcessID] = windows.UTF16ToString(e.ExeFile[:])
		if int(e.ProcessID) == os.Getpid() {
			parent = e.ParentProcessID
		}
	}
	return strings.EqualFold(names[parent], "services.exe"), nil
}

// logoff is the event of a console by which Windows tells that a session has ended.
const logoff = 5

// prepareService gives a service what programs in the foreground have. A console: by it programs that share it are asked to
// end. And it runs on when somebody logs off, which is told to every process with a handler of events and which Go takes for
// an order to end. Both may be missing: programs are ended harder then.
func prepareService() {
	kernel := windows.NewLazySystemDLL("kernel32.dll")
	_, _, _ = kernel.NewProc("AllocConsole").Call()
	ours := windows.NewCallback(func(event uintptr) uintptr {
		if event == logoff {
			return 1
		}
		return 0
	})
	_, _, _ = kernel.NewProc("SetConsoleCtrlHandler").Call(ours, 1)
}

// service is a running service.
type service struct {
	ctx    context.Context
	run    func(context.Context) int
	status int
}

// Execute implements svc.Handler.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (bool, uint32) {
	const accepts = svc.AcceptStop | svc.AcceptShutdown
	prepareService()
	changes <- svc.Status{State: svc.StartPending}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- s.run(ctx) }()
	now := svc.Status{State: svc.Running, Accepts: accepts}
	changes <- now
	for {
		select {
		case s.status = <-ended:
			changes <- svc.Status{State: svc.StopPending}
			// A status of ours; one that is not 0 has the service started again.
			return s.status != 0, uint32(s.status)
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				changes <- now
			case svc.Stop, svc.Shutdown:
				now = svc.Status{State: svc.StopPending, WaitHint: uint32(stopHint / time.Millisecond)}
				changes <- now
				cancel()
			}
		}
	}
}

// stopHint is how long Windows should wait for the ordered stop.
const stopHint = 2 * time.Minute
