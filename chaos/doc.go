// Command chaos kills the processes of the daemon at random moments, under load, and judges what became of
// the programs. It knows the product from outside only: the daemon command, its configuration file, its
// pidfile, XML-RPC on the unix socket, the log files and the process table. What happened in truth it knows
// from ledgers that the programs themselves keep.
//
//	chaos -daemon bin/supervisord -role manager -n 100 -programs 200
//	chaos -daemon bin/supervisord -peer /usr/bin/supervisord -role manager,keeper,spawner,all -n 20
//
// The load (-load mixed): half of the programs are talkers, a quarter churners, an eighth zoo, an eighth is
// started and stopped by eight clients. -load bytes is one talker of 2 MB/s through rotation at 64 KiB with
// ten backups and one at full speed without rotation.
//
// Roles: manager, keeper, spawner, all (the three at once; the harness then starts the daemon again after
// 0 to 2 s, as an init system would), daemon (the one process of the pidfile, likewise), upgrade (another
// image and SIGUSR1), none (no faults: shows that the harness itself finds nothing wrong).
//
// The verdict is a table; the exit status is 1 when a promise was broken, 2 when the harness could not judge.
package main
