// mixed on Go: a goroutine for each connection, which burns itself; Go takes a thread away from it after 10 ms.
package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"bench/support"
)

func burn() {
	for end := time.Now().Add(time.Millisecond); time.Now().Before(end); {
	}
}

func echo(connection net.Conn) {
	defer connection.Close()
	// Counted here and added at the end, so that threads do not share a counter.
	answered := int64(0)
	defer func() { support.Requests.Add(answered) }()
	buffer := make([]byte, 2048)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if buffer[0] == 'B' {
			burn()
		}
		if _, err = connection.Write(buffer[:count]); err != nil {
			return
		}
		answered++
	}
}

func main() {
	port := support.Number("port", 0, "to listen on, 0: any")
	support.Parse()
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(connection)
		}
	}()
	support.ServeUntilStopped(listener.Addr().(*net.TCPAddr).Port)
}
