// cluster-dns: the names of Services for Pods, as the Kubernetes DNS specification 1.1 has them, answered from a watch of the API server.
// It knows nothing outside the cluster. Left out: reverse look-ups and the names of Pod addresses.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	domain = "svc.cluster.local."
	// Short, because Services of tests come and go.
	ttlSeconds = 1
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster-dns:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	listen := flag.String("listen", "127.0.0.1:53", "address of the DNS server, UDP and TCP")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	names := &names{
		services: factory.Core().V1().Services().Lister(),
		slices:   factory.Discovery().V1().EndpointSlices().Lister(),
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	failed := make(chan error, 2)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: *listen, Net: network, Handler: names}
		go func() { failed <- server.ListenAndServe() }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

type names struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

// ServeDNS answers one question. A name without records of the type asked for is NOERROR, a name that does not exist NXDOMAIN: resolvers
// go on to the next search domain only after the latter.
func (n *names) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	response := new(dns.Msg).SetReply(request)
	response.Authoritative = true
	if len(request.Question) != 1 {
		response.Rcode = dns.RcodeFormatError
	} else if records, exists := n.find(request.Question[0]); !exists {
		response.Rcode = dns.RcodeNameError
	} else {
		response.Answer = records
	}
	if w.LocalAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if options := request.IsEdns0(); options != nil {
			size = int(options.UDPSize())
		}
		response.Truncate(size)
	}
	_ = w.WriteMsg(response)
}

// find knows SERVICE.NAMESPACE, ENDPOINT.SERVICE.NAMESPACE of headless Services and _PORT._PROTOCOL.SERVICE.NAMESPACE, each below svc.cluster.local.
func (n *names) find(question dns.Question) (records []dns.RR, exists bool) {
	name := strings.ToLower(question.Name)
	short, within := strings.CutSuffix(name, "."+domain)
	if !within {
		return nil, false
	}
	parts := strings.Split(short, ".")
	if len(parts) < 2 {
		// The namespace itself has no records, but names below it.
		return nil, true
	}
	first, rest := parts[:len(parts)-2], parts[len(parts)-2:]
	service, err := n.services.Services(rest[1]).Get(rest[0])
	if err != nil {
		return nil, false
	}
	header := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: question.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttlSeconds}
	}
	switch {
	case len(first) == 0 && service.Spec.Type == corev1.ServiceTypeExternalName:
		return []dns.RR{&dns.CNAME{Hdr: header(dns.TypeCNAME), Target: dns.Fqdn(service.Spec.ExternalName)}}, true
	case len(first) == 0:
		for _, address := range n.addresses(service, "") {
			if question.Qtype == dns.TypeA {
				records = append(records, &dns.A{Hdr: header(dns.TypeA), A: net.ParseIP(address)})
			}
		}
		return records, true
	case len(first) == 1 && isHeadless(service):
		addresses := n.addresses(service, first[0])
		for _, address := range addresses {
			if question.Qtype == dns.TypeA {
				records = append(records, &dns.A{Hdr: header(dns.TypeA), A: net.ParseIP(address)})
			}
		}
		return records, len(addresses) > 0
	case len(first) == 2:
		for _, port := range service.Spec.Ports {
			if first[0] != "_"+port.Name || first[1] != "_"+strings.ToLower(string(port.Protocol)) {
				continue
			}
			target := dns.Fqdn(strings.Join(rest, ".") + "." + domain)
			records := []dns.RR{&dns.SRV{Hdr: header(dns.TypeSRV), Weight: 100, Port: uint16(port.Port), Target: target}}
			if question.Qtype != dns.TypeSRV {
				records = nil
			}
			return records, true
		}
	}
	return nil, false
}

func isHeadless(service *corev1.Service) bool { return service.Spec.ClusterIP == corev1.ClusterIPNone }

// addresses are the Service's own, or those of its endpoints when it is headless; hostname, when given, chooses among the endpoints.
func (n *names) addresses(service *corev1.Service, hostname string) []string {
	if !isHeadless(service) {
		return []string{service.Spec.ClusterIP}
	}
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name})
	slices, err := n.slices.EndpointSlices(service.Namespace).List(selector)
	if err != nil {
		return nil
	}
	found := map[string]bool{}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready || service.Spec.PublishNotReadyAddresses
			named := hostname == "" || (endpoint.Hostname != nil && *endpoint.Hostname == hostname)
			if slice.AddressType != discoveryv1.AddressTypeIPv4 || !ready || !named {
				continue
			}
			for _, address := range endpoint.Addresses {
				found[address] = true
			}
		}
	}
	addresses := make([]string, 0, len(found))
	for address := range found {
		addresses = append(addresses, address)
	}
	return addresses
}
