package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// Path is where a node's HTTP front serves its status.
const Path = "/status"

// maxAnswer bounds what Fetch reads, in bytes.
const maxAnswer = 64 << 20

// Fetch asks the node with HTTP address addr (HOST:PORT). Its errors are one
// line with cause and next step.
func Fetch(ctx context.Context, addr string) (*Cluster, error) {
	addr = strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+Path, nil)
	if err != nil {
		return nil, fmt.Errorf("%q is no HOST:PORT; name a node's HTTP address, such as 127.0.0.1:8379", addr)
	}
	// A transport of its own: no proxy between a node and who asks it, and no
	// connection left behind.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, unreachable(addr, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s to %s: %s; %s", addr, resp.Status, Path, firstLine(body), notANode)
	}
	var c Cluster
	if err := json.Unmarshal(body, &c); err != nil || c.AnsweredBy == 0 {
		return nil, fmt.Errorf("%s answers HTTP but is no Coterie node; %s", addr, notANode)
	}
	return &c, nil
}

const notANode = "name a node's HTTP address (http-listen, by default 127.0.0.1:8379)"

func unreachable(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s; start the node, or %s", addr, notANode)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time; ask another node, or read this node's log", addr)
	case errors.Is(err, context.Canceled):
		return err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("cannot ask %s: %v; %s", addr, op.Err, notANode)
	}
	return fmt.Errorf("%s does not speak HTTP; %s", addr, notANode)
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if len(line) > 200 {
		line = line[:200]
	}
	return line
}
