// Package vctest is a vCenter for tests: govmomi's simulator in this process,
// with what it lacks so that packages can go in and come out.
//
// The simulator throws uploaded bytes away, exports no machines, takes no
// vApps, and its leases neither expire nor clean up. Here a lease is what the
// vSphere API says it is: it has a timeout that progress renews, an import that
// is aborted or expires leaves no machine, and a disk's file is kept beside the
// simulated disk and given out again on export. Files are served by a second
// server with a certificate of its own, as an ESXi host does, whose thumbprint
// the lease tells.
//
// What it cannot show is what only a real vCenter knows: which specifications
// ESXi refuses, and how its NFC server answers.
package vctest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// User and Password log in.
const (
	User     = "operator"
	Password = "correct horse"
)

// Options of New; the zero value is a small vCenter.
type Options struct {
	// Machines says how many machines of the simulator's own stand in the
	// datacenter, powered on.
	Machines int
	// LeaseTimeout is how long a lease lives without progress; 0 takes 300 s,
	// as vCenter does.
	LeaseTimeout time.Duration
	// Datastores is how many there are; 0 takes 2.
	Datastores int
	// Datacenters is how many there are, DC0 first; 0 takes 1.
	Datacenters int
	// Discard throws uploaded bytes away, as the simulator does, for measurements.
	Discard bool
	// Link is how many bytes a second each upload gets, 0 for all there are.
	Link int64
}

// VCenter is a running simulator.
type VCenter struct {
	opts      Options
	model     *simulator.Model
	server    *simulator.Server
	esx       *httptest.Server
	client    *vim25.Client // in process, past what handle does
	overrides *overrides
	// thumbprint is the SHA-1 of esx's certificate, as leases tell it.
	thumbprint string

	destroying sync.Mutex

	mu        sync.Mutex
	leases    map[string]*lease // by the value of their reference
	past      []Lease
	files     map[string]int64 // uploaded bytes by datastore path
	denied    map[string]string
	calls     map[string]int
	hooks     map[string]func()
	nfc       func(method, file string) int
	folder    func(file string) int
	areas     func(*types.DiskChangeInfo)
	trackings int               // how often Track was called
	guests    map[string]string // behaviour by name
	taken     tally             // uploaded bytes that have arrived
	given     tally             // bytes of files that were sent
	endNow    bool
	silent    bool                                        // makes no descriptors
	told      string                                      // the thumbprint that leases tell, where it is another one
	tell      func(*types.HttpNfcLeaseManifestEntry) bool // see Manifest
	refuse    types.BaseMethodFault
	nvram     map[types.ManagedObjectReference]object.DatastorePath // what leases of exports have too
}

// New starts one, stopped when the test ends. Under the race detector the test
// is skipped: govmomi's simulator races with itself (Datastore.resolve reads
// what its own DestroyTask and CreateVM write), whoever calls it.
func New(t testing.TB, opts Options) *VCenter {
	t.Helper()
	if raceDetector {
		t.Skip("govmomi's simulator v0.55.0 races with itself; this test runs without the race detector")
	}
	v, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// Start starts one outside of a test; Close stops it.
func Start(opts Options) (*VCenter, error) {
	if opts.LeaseTimeout <= 0 {
		opts.LeaseTimeout = 300 * time.Second
	}
	if opts.Datastores <= 0 {
		opts.Datastores = 2
	}
	quiet()
	v := &VCenter{opts: opts, leases: map[string]*lease{}, files: map[string]int64{}, denied: map[string]string{},
		calls: map[string]int{}, hooks: map[string]func(){}, guests: map[string]string{}, nvram: map[types.ManagedObjectReference]object.DatastorePath{}}
	v.model = simulator.VPX()
	v.model.Datacenter = max(1, opts.Datacenters)
	v.model.Host, v.model.ClusterHost, v.model.Machine, v.model.Datastore = 0, 1, opts.Machines, opts.Datastores
	if err := v.model.Create(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	var err error
	if v.client, err = vim25.NewClient(context.Background(), v.model.Service); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	cert, err := newCertificate()
	if err != nil {
		return nil, err
	}
	v.thumbprint = soap.ThumbprintSHA1(cert.Leaf)
	v.esx = httptest.NewUnstartedServer(v)
	v.esx.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
	v.esx.StartTLS()
	v.model.Service.TLS = new(tls.Config)
	registry := v.model.Map()
	v.overrides = &overrides{v: v}
	v.overrides.Self = types.ManagedObjectReference{Type: "OvfManager", Value: "vctest"}
	registry.Put(v.overrides)
	registry.Handler = v.handle
	v.model.Service.Listen = &url.URL{User: url.UserPassword(User, Password)} // others are refused
	v.server = v.model.Service.NewServer()
	v.server.Config.Handler = v.withContent(v.server.Config.Handler)
	return v, nil
}

// Close stops it and removes its files.
func (v *VCenter) Close() {
	v.mu.Lock()
	for _, l := range v.leases {
		l.stop()
	}
	v.mu.Unlock()
	v.esx.Close()
	v.server.Close()
	v.model.Remove()
}

// Datacenter is the inventory path of the one there is.
const Datacenter = "DC0"

// Endpoint names the datacenter as a user does.
func (v *VCenter) Endpoint() string {
	return "vsphere://" + v.server.URL.Host + "/" + Datacenter
}

// Pin is the certificate of the vCenter as --tls-pin wants it.
func (v *VCenter) Pin() string {
	sum := sha256.Sum256(v.server.Certificate().Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// CA is the certificate of the vCenter as --ca-file wants it.
func (v *VCenter) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.server.Certificate().Raw})
}

// newCertificate makes the certificate of a host: nobody has signed it.
func newCertificate() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "esx.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

var quietOnce sync.Once

// quiet keeps the simulator from telling the terminal about every fault.
func quiet() { quietOnce.Do(func() { log.SetOutput(io.Discard) }) }
