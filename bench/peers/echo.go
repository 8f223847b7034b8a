// echo.go: an echo server as one writes it in Go: a goroutine and a buffer per conn.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
)

func echo(conn net.Conn, size int) {
	defer conn.Close()
	buf := make([]byte, size)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func main() {
	size := flag.Int("buf", 4096, "read buffer per conn, in bytes")
	busy := flag.Bool("busy", false, "have a goroutine compute all the time besides")
	flag.Parse()
	if *busy {
		go func() {
			for {
			}
		}()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go echo(conn, *size)
	}
}
