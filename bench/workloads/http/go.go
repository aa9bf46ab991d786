// HTTP hello on Go: net/http, as it comes. Not counted: handlers of several threads would share the counter.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"bench/support"
)

var body = []byte("Hello, world!\n")

func main() {
	port := support.Number("port", 0, "to listen on, 0: any")
	support.Parse()
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	hello := func(to http.ResponseWriter, _ *http.Request) {
		to.Header().Set("Content-Type", "text/plain")
		_, _ = to.Write(body)
	}
	go func() { _ = http.Serve(listener, http.HandlerFunc(hello)) }()
	support.ServeUntilStopped(listener.Addr().(*net.TCPAddr).Port)
}
