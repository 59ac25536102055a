package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"coterie/internal/version"
)

func newVersion() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print which build this is"}
	format := addOutput(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := version.Current()
		if format.format == "json" {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(v)
		}
		built := ""
		if v.Commit != "" {
			built = " commit " + v.Commit[:min(12, len(v.Commit))]
			if v.Modified {
				built += " with changes"
			}
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "coterie %s%s (%s, %s)\n", v.Version, built, v.Go, v.Platform)
		return err
	}
	return cmd
}
