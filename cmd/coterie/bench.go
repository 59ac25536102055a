package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newBench() *cobra.Command {
	return &cobra.Command{
		Use: "bench", Short: "Measure a server that speaks the Redis protocol",
		RunE: func(*cobra.Command, []string) error { return errors.New("not in this build") },
	}
}

func benchFlagNames() []string { return nil }
