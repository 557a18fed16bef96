package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// clientTLS believes any certificate: what is measured is what encryption costs, and not whom it is with.
var clientTLS = &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}

func serverTLS() (*tls.Config, error) {
	certificate, _, err := selfSigned()
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}}, err
}

// selfSigned makes a certificate for this machine, and its key in PKCS #8.
func selfSigned() (certificate tls.Certificate, pkcs8 []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return certificate, nil, err
	}
	pkcs8, err = x509.MarshalPKCS8PrivateKey(key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pkcs8, err
}

// newTLSHome makes a directory with a certificate, and finds an address, for a server that is a program of its own.
func newTLSHome(dir, prefix string) (home, host string, err error) {
	if home, err = os.MkdirTemp(dir, prefix); err != nil {
		return "", "", err
	}
	if err = writeCertificate(home); err != nil {
		return "", "", err
	}
	host, err = freeHost()
	return home, host, err
}

// writeCertificate writes server.crt and server.key into a directory.
func writeCertificate(dir string) error {
	certificate, pkcs8, err := selfSigned()
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"server.crt": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		"server.key": {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
