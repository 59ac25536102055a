// Package redistest is for tests that compare with redis-server: random
// commands about every type, replies that mean the same, and a redis-server of
// the test's own. Only tests import it.
package redistest
