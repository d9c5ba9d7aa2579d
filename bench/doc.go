// Command bench measures programs that speak Supervisor's language side by side, on Linux: any number of
// pairs of a supervisord and a supervisorctl, in turn (A B A B …), so that a slow minute of the machine
// hits all of them.
//
//	bench -system original=/usr/bin/supervisord,/usr/bin/supervisorctl -system upkeep=bin/supervisord,bin/supervisorctl
//
// Workloads (-run selects; the names are those of the tables):
//
//	start    launch of the daemon → N programs exist and are RUNNING; CPU of the manager
//	idle     proportional memory, CPU and wake-ups of the manager while N programs sleep
//	status   "supervisorctl status", "upkeep status" and, with -pm2, "pm2 ls": wall and CPU time, memory; latency of getAllProcessInfo
//	restart  SIGKILL of a program → the first act of its replacement, alone and among 500 others
//	logs     throughput of small lines, 4 KiB blocks and 50 writers; every kept byte is checked
//	stop     stop all, start all, shutdown
//	size     bytes of the commands, time of --version
//	clients  50 clients: getAllProcessInfo, and start and stop of a program each
//	scale    N programs (-n, -pipes): memory, descriptors and threads of each process, status, crashes, the manager killed
//	checks   N programs with an HTTP check every 10 s and a memory check every 5 s each: the manager's processor time, the
//	         interface, the longest time between two looks; the same beside 100 checks that hang
//	hostile  500 programs beside listeners that hang, flood, close, talk nonsense, die or say nothing: the interface, restarts, drops
//	events   an event listener: how late PROCESS_LOG comes, a flood of it, PROCESS_STATE while 20 clients start and stop; beside
//	         them the limit: a bare relay that makes one request and takes one answer for each event through two pipes
//
// Results are JSON lines (-out); "bench report FILE" prints them as Markdown tables with medians and the
// ratio to the first system. Everything happens in a scratch directory, in memory where there is a memory
// file system; every process that is started is ended by its own pid.
package main
