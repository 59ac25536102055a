// Command realinput turns a Debian package index on standard input into
// Redis commands (`resp`: a hash per package and one SET of the whole text),
// or compares what a server gives back with it (`check ADDR`), by digest.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/redis/go-redis/v9"
)

// fileKey holds the index as one value.
const fileKey = "index:file"

// maxFile is how much of the index goes into that one value, in bytes.
const maxFile = 8 << 20

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	records := parse(text)
	file := text[:min(len(text), maxFile)]
	switch {
	case len(os.Args) == 2 && os.Args[1] == "resp":
		err = write(os.Stdout, records, file)
	case len(os.Args) == 3 && os.Args[1] == "check":
		err = check(os.Args[2], records, file)
	default:
		err = fmt.Errorf("usage: realinput resp | check ADDR < index")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// parse returns the fields of each package by its key.
func parse(text []byte) map[string]map[string]string {
	records := map[string]map[string]string{}
	for i, block := range bytes.Split(text, []byte("\n\n")) {
		fields, last := map[string]string{}, ""
		for _, line := range strings.Split(string(block), "\n") {
			if strings.HasPrefix(line, " ") && last != "" {
				fields[last] += "\n" + line
			} else if name, value, ok := strings.Cut(line, ":"); ok {
				last = name
				fields[last] = strings.TrimSpace(value)
			}
		}
		if fields["Package"] != "" {
			records[fmt.Sprintf("pkg:%s:%d", fields["Package"], i)] = fields
		}
	}
	return records
}

func write(w io.Writer, records map[string]map[string]string, file []byte) error {
	out := bufio.NewWriterSize(w, 1<<20)
	command := func(args ...string) {
		fmt.Fprintf(out, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(out, "$%d\r\n%s\r\n", len(a), a)
		}
	}
	for key, fields := range records {
		args := []string{"HSET", key}
		for f, v := range fields {
			args = append(args, f, v)
		}
		command(args...)
	}
	command("SET", fileKey, string(file))
	return out.Flush()
}

func check(addr string, want map[string]map[string]string, file []byte) error {
	ctx := context.Background()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	got := map[string]map[string]string{}
	var cursor uint64
	for {
		keys, next, err := c.Scan(ctx, cursor, "pkg:*", 1000).Result()
		if err != nil {
			return err
		}
		for _, k := range keys {
			if got[k], err = c.HGetAll(ctx, k).Result(); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	back, err := c.Get(ctx, fileKey).Bytes()
	if err != nil {
		return err
	}
	a, b := digest(want, file), digest(got, back)
	fmt.Printf("source %d records %s\nserver %d records %s\n", len(want), a, len(got), b)
	if a != b {
		return fmt.Errorf("they differ")
	}
	return nil
}

func digest(records map[string]map[string]string, file []byte) string {
	var lines []string
	for k, fields := range records {
		var parts []string
		for f, v := range fields {
			parts = append(parts, fmt.Sprintf("%q=%q", f, v))
		}
		sort.Strings(parts)
		lines = append(lines, fmt.Sprintf("%q %s", k, strings.Join(parts, " ")))
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		io.WriteString(h, l+"\n")
	}
	h.Write(file)
	return fmt.Sprintf("%x", h.Sum(nil))[:32]
}
