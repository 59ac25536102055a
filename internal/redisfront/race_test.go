//go:build race

package redisfront

const raceEnabled = true
