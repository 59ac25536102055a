package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"coterie/internal/status"
)

func newStatus() *cobra.Command {
	var addr string
	var timeout, every time.Duration
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Show nodes, partitions and totals, as any node sees them",
		Long: `Show nodes, partitions and totals, as one node sees them. Any node will do. It
answers also without a majority, and then says what it cannot know.`,
		Example: "  coterie status\n  coterie status --http 10.0.0.2:8379 -o json\n  coterie status --watch 1s",
	}
	cmd.Flags().StringVar(&addr, "http", defaultHTTP(), "HTTP address of a node; also COTERIE_HTTP")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	cmd.Flags().DurationVar(&every, "watch", 0, "show it again and again, with this time between")
	format := addOutput(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if every < 0 || every > 0 && every < 100*time.Millisecond {
			return usageError{fmt.Errorf("--watch %v is too short; choose 100ms or more", every)}
		}
		for {
			text, err := statusText(cmd.Context(), addr, timeout, format.format)
			if every == 0 {
				if err == nil {
					_, err = cmd.OutOrStdout().Write(text)
				}
				return err
			}
			if err != nil {
				text = []byte("coterie: " + err.Error() + "\n")
			}
			if format.format == "table" {
				text = append([]byte("\x1b[H\x1b[2J"), text...) // a clean screen
			}
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return err
			}
			select {
			case <-cmd.Context().Done():
				return nil
			case <-time.After(every):
			}
		}
	}
	return cmd
}

func statusText(ctx context.Context, addr string, timeout time.Duration, format string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := status.Fetch(ctx, addr)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = c.Write(&b, format)
	return b.Bytes(), err
}

func defaultHTTP() string {
	if addr := os.Getenv("COTERIE_HTTP"); addr != "" {
		return addr
	}
	return "127.0.0.1:8379"
}
