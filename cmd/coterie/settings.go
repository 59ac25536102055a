package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"coterie/internal/config"
)

// flagText is one setting as a flag: it keeps the text; package config reads
// it, so that flags, environment and file have one reader.
type flagText struct {
	option config.Option
	text   string
}

func (f *flagText) String() string { return f.text }
func (f *flagText) Type() string   { return f.option.Kind.Placeholder() }
func (f *flagText) Set(s string) error {
	if f.option.Kind == config.List && f.text != "" { // --join A --join B
		s = f.text + "," + s
	}
	f.text = s
	return nil
}

// addSettings gives a command the flags of a node's settings. The function it
// returns loads and, if asked to, validates them.
func addSettings(cmd *cobra.Command, s streams) func(validate bool) (*config.Settings, error) {
	options := append([]config.Option{config.ConfigOption}, config.Options()...)
	for _, o := range options {
		f := cmd.Flags().VarPF(&flagText{option: o}, o.Name, "", o.Doc)
		if o.Kind == config.Switch {
			f.NoOptDefVal = "true"
		}
		complete := cobra.FixedCompletions(o.Choices, cobra.ShellCompDirectiveNoFileComp)
		if o.Kind != config.Path {
			_ = cmd.RegisterFlagCompletionFunc(o.Name, complete)
		}
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		writeUsage(cmd, cmd.OutOrStderr(), options)
		return nil
	})
	return func(validate bool) (*config.Settings, error) {
		src := config.Sources{Flags: map[string]string{}, Environ: s.environ}
		for _, o := range options {
			if cmd.Flags().Changed(o.Name) {
				src.Flags[o.Name] = cmd.Flags().Lookup(o.Name).Value.String()
			}
		}
		settings, err := config.Load(src)
		if err == nil && validate {
			err = settings.Validate()
		}
		if err != nil {
			return nil, usageError{err}
		}
		return settings, nil
	}
}

// writeUsage prints the settings' flags by group; cobra would sort all of
// them into one long list.
func writeUsage(cmd *cobra.Command, w io.Writer, options []config.Option) {
	fmt.Fprintf(w, "Usage:\n  %s\n", cmd.UseLine())
	for _, group := range config.Groups() {
		fmt.Fprintf(w, "\n%s:\n", group)
		for _, o := range options {
			if o.Group != group {
				continue
			}
			doc := o.Doc
			if o.Kind == config.Choice {
				doc += ": " + strings.Join(o.Choices, ", ")
			}
			if o.Default != "" && o.Kind != config.Switch {
				doc += fmt.Sprintf(" (default %s)", o.Default)
			}
			writeFlag(w, strings.TrimSpace("--"+o.Name+" "+o.Kind.Placeholder()), doc)
		}
	}
	if f := cmd.Flags().Lookup("output"); f != nil {
		fmt.Fprintf(w, "\nOutput:\n")
		writeFlag(w, "-o, --output FORMAT", f.Usage)
	}
	fmt.Fprint(w, "\nEach setting is also an environment variable (--data-dir is COTERIE_DATA_DIR) and a\nkey of the configuration file. Sizes look like 64MiB, durations like 500ms or 5s.\n")
}

const (
	helpIndent = 32 // column where descriptions begin
	helpWidth  = 98
)

func writeFlag(w io.Writer, head, doc string) {
	line := fmt.Sprintf("  %-*s", helpIndent-2, head)
	if len(head) > helpIndent-4 {
		fmt.Fprintln(w, "  "+head)
		line = strings.Repeat(" ", helpIndent)
	}
	width := len(line)
	var b strings.Builder
	b.WriteString(line)
	for i, word := range strings.Fields(doc) {
		if width+1+len(word) > helpWidth {
			b.WriteString("\n" + strings.Repeat(" ", helpIndent))
			width = helpIndent
		} else if i > 0 {
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	fmt.Fprintln(w, b.String())
}

func newConfig(s streams) *cobra.Command {
	parent := &cobra.Command{Use: "config", Short: "Show a node's settings", Args: cobra.ArbitraryArgs, RunE: groupOnly}
	show := &cobra.Command{
		Use:   "show [flags]",
		Short: "Print each setting, its value and where it came from",
		Long:  "Print each setting, its value and where it came from: flag, environment, file or default.\nTakes the flags of `coterie start`, and fails on what start would refuse.",
		Args:  noArguments(nil),
	}
	load := addSettings(show, s)
	format := addOutput(show, "table", "json", "yaml")
	show.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := load(false)
		if err != nil {
			return err
		}
		if err := settings.Write(cmd.OutOrStdout(), format.format); err != nil {
			return err
		}
		for _, w := range settings.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w)
		}
		if err := settings.Validate(); err != nil {
			return usageError{err}
		}
		return nil
	}
	docs := &cobra.Command{
		Use: "docs", Short: "Print the description of all settings as Markdown", Hidden: true, Args: noArguments(nil),
		RunE: func(cmd *cobra.Command, _ []string) error { return config.WriteDocs(cmd.OutOrStdout()) },
	}
	parent.AddCommand(show, docs)
	return parent
}
