// Elastic's own ends of Lumberjack, over mutual TLS, for the tests of the lab's stand-ins.
//
//	lumber serve ADDRESS CA CERTIFICATE KEY              prints each event it gets as a line of JSON
//	lumber send ADDRESS CA CERTIFICATE KEY BATCH LEVEL   sends the lines of JSON that it reads, in batches
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"

	client "github.com/elastic/go-lumber/client/v2"
	"github.com/elastic/go-lumber/server"
)

func main() {
	address, config := os.Args[2], configuration(os.Args[3], os.Args[4], os.Args[5])
	if os.Args[1] == "serve" {
		serve(address, config)
	} else {
		send(address, config, number(os.Args[6]), number(os.Args[7]))
	}
}

func serve(address string, config *tls.Config) {
	listener, err := server.ListenAndServe(address, server.TLS(config), server.V2(true))
	check(err)
	lines := json.NewEncoder(os.Stdout)
	for batch := range listener.ReceiveChan() {
		for _, event := range batch.Events {
			check(lines.Encode(event))
		}
		batch.ACK()
	}
}

func send(address string, config *tls.Config, size, level int) {
	dial := func(network, address string) (net.Conn, error) { return tls.Dial(network, address, config) }
	connection, err := client.SyncDialWith(dial, address, client.CompressionLevel(level))
	check(err)
	acknowledged := 0
	batch := []interface{}{}
	flush := func() {
		count, err := connection.Send(batch)
		check(err)
		acknowledged += count
		batch = batch[:0]
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		batch = append(batch, json.RawMessage(append([]byte{}, lines.Bytes()...)))
		if len(batch) == size {
			flush()
		}
	}
	if len(batch) > 0 {
		flush()
	}
	fmt.Println(acknowledged)
}

func configuration(authority, certificate, key string) *tls.Config {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	check(err)
	pem, err := os.ReadFile(authority)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
