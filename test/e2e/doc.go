// Package e2e tests the binary as a user has it: real processes, real
// sockets, real disks, real clients, and faults that an operating system can
// give (kill -9, SIGSTOP, a full disk, a port in use).
//
// It holds tests only. The harness (cluster_test.go) starts every node on
// free loopback ports in the test's own directory and ends it by its own pid;
// nodes also die with the test process. When a test fails, the end of every
// node's log is printed.
//
// The tests are short by default. Flags make them long:
//
//	go test ./test/e2e -run TestLinearizable -e2e.for 10m -e2e.seed 7
//	go test ./test/e2e -run TestLeaderKillGap -e2e.kills 20 -v
//	go test ./test/e2e -run TestAsynq -e2e.asynq 100000 -timeout 30m -v
//	go test ./test/e2e -run 'TestBullMQ|TestRealClients' -e2e.npm
//	go test ./test/e2e -e2e.race            # nodes built with the race detector
//
// Under -short only the tests that need a second or two run.
package e2e
