// Package e2e has the end-to-end tests: the built program with real configuration
// files, on hosts that are network namespaces with links between them. There is no
// code but tests.
//
// TestMain builds the program once and runs the tests again as the first process of
// mount, process and network namespaces of its own, so that whatever way they end,
// nothing is left on the machine: no daemon, no namespace, no file under /run. That
// takes root, /dev/net/tun and the programs ip, ping, mount, unshare and setpriv; the tests
// fail where something is missing, and are left out with -short alone.
//
// Tests wait for conditions with generous bounds. How long something took is logged,
// never asserted, but for the bounds that the requirements give.
package e2e
