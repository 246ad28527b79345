package config

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// base has no mistake. The cases of TestMistakes change a line of it.
const base = `[interface]
private_key_file = "a.key"
addresses = ["10.77.0.1/24"]
bandwidth = "50Mbit"

[[peer]]
name = "b"
public_key = "B_KEY"
endpoint = "198.51.100.2:4430"
allowed_ips = ["10.77.0.2/32"]
`

// second follows base: a peer that contradicts the first as the case says.
const second = `
[[peer]]
name = "c"
public_key = "C_KEY"
allowed_ips = ["10.77.0.3/32"]
`

// mistake is a case: the file is base with old replaced by new, and the messages are want.
type mistake struct {
	name     string
	old, new string
	want     []string
}

func TestMistakes(t *testing.T) {
	own, b, c := newPair(t), newPair(t), newPair(t)
	keys := strings.NewReplacer("OWN_KEY", own.public, "OWN_PRIVATE", own.private, "B_KEY", b.public, "C_KEY", c.public)
	cases := append(interfaceMistakes, peerMistakes...)
	cases = append(cases, fileMistakes...)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			text := base
			if tc.old == "" {
				text = tc.new
			} else if !strings.Contains(base+second, tc.old) {
				t.Fatalf("the base has no %q", tc.old)
			} else {
				text = strings.Replace(base+second, tc.old, tc.new, 1)
			}
			folder(t, keys.Replace(text), own)
			_, err := Load("totg.toml")
			if err == nil {
				t.Fatal("no mistake found")
			}
			want := keys.Replace("totg.toml" + strings.Join(tc.want, "\ntotg.toml"))
			if got := err.Error(); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if tc.name != "public key is private" && strings.Contains(err.Error(), own.private) {
				t.Error("the message tells the private key")
			}
		})
	}
}

var fileMistakes = []mistake{
	{"empty file", "", "", []string{
		`: interface: the table is missing; start with [interface]`, `: peer: the table is missing; add one [[peer]] for each other end`,
	}},
	{"not TOML", "", "[interface\n", []string{`:1: not valid TOML: expected ']' to close table name`}},
	{"unterminated secret", "", "[interface]\n\nprivate_key = \"OWN_PRIVATE\n", []string{`:3: not valid TOML: basic strings cannot have new lines`}},
	{"key twice", "bandwidth", "mtu = 1500\nmtu = 1400\nbandwidth", []string{`:5: not valid TOML: key mtu is already defined`}},
	{"unterminated psk", "", "\npeer = [{preshared_key = 'OWN_PRIVATE}]", []string{`:2: not valid TOML: unterminated literal string`}},
	{"table twice", "[[peer]]", "[interface]\n[[peer]]", []string{`:6: not valid TOML: table interface already exists`}},
	{"top-level key", "[interface]", "color = 1\n[interface]", []string{`:1: color: unknown key; the tables are [interface] and [[peer]]`}},
	{"table misspelt", "[[peer]]", "[[peers]]", []string{`:6: peers: unknown key; did you mean "peer"?`}},
	{"interface is no table", "", "interface = 1\n[[peer]]\n", []string{
		`:1: interface: is a number; write it as a table: [interface]`,
		`:2: peer.public_key: is missing; write what "totg pubkey" prints on the other end`,
		`:2: peer.allowed_ips: is missing; write the addresses behind this peer: allowed_ips = ["10.77.0.2/32"]`,
	}},
	{"single brackets", "", "[interface]\nprivate_key_file = \"a.key\"\naddresses = [\"10.77.0.1/24\"]\nbandwidth = \"1Mbit\"\n[peer]\n", []string{
		`:5: peer: is a table; write it with two brackets: [[peer]]`,
	}},
	{"peer is no table", "", "peer = [1]\n", []string{
		`: interface: the table is missing; start with [interface]`,
		`:1: peer: is a number; write it as a table: [[peer]]`,
	}},
	{"no peers", "", "peer = []\n", []string{
		`: interface: the table is missing; start with [interface]`,
		`:1: peer: the list is empty; add one [[peer]] for each other end`,
	}},
	{"deep key", "", "a.b.c.d.e.f.g.h.i = 1\n", []string{`:1: this key is longer than any that the file can hold`}},
	{"deep value", "", "a = [[[[[[[[[[[[[1]]]]]]]]]]]]]\n", []string{`:1: values are nested deeper than 8 levels`}},
	{"too many keys", "", "\na = [" + strings.Repeat("1,", maxKeys) + "]\n", []string{`:2: the file holds more than 16384 keys and list elements`}},
	{"too large", "", strings.Repeat("#\n", MaxFileSize/2+1), []string{`: is larger than 1024 KiB; is it a configuration?`}},
}

var interfaceMistakes = []mistake{
	{"unknown key", `bandwidth = `, `adresses = []` + "\nbandwidth = ", []string{`:4: interface.adresses: unknown key; did you mean "addresses"?`}},
	{"unknown key, nothing near", `bandwidth = `, `"colour of\nmoney" = 1` + "\nbandwidth = ", []string{`:4: interface."colour of\nmoney": unknown key; the keys here are name, private_key_file, private_key, addresses, listen, mtu, mode, bandwidth, rate, redundancy, arq, routes, rekey`}},
	{"several", `addresses = ["10.77.0.1/24"]`, "addresses = [\"10.77.0.1\"]\nmtu = 100\nname = \"a b\"", []string{
		`:3: interface.addresses: "10.77.0.1" has no prefix length; write "10.77.0.1/24"`,
		`:4: interface.mtu: 100 is out of range; write a number from 576 to 65535`,
		`:5: interface.name: "a b" cannot be an interface's name; use letters, digits, '_', '-' and '.', and start with a letter or a digit`,
	}},
	{"name empty", `bandwidth = `, "name = \"\"\nbandwidth = ", []string{`:4: interface.name: is empty; write a name such as "totg0", or leave the key out`}},
	{"name long", `bandwidth = `, "name = \"totg567890123456\"\nbandwidth = ", []string{`:4: interface.name: "totg567890123456" has 16 characters; an interface's name has at most 15`}},
	{"name characters", `bandwidth = `, "name = \"to/tg\"\nbandwidth = ", []string{`:4: interface.name: "to/tg" cannot be an interface's name; use letters, digits, '_', '-' and '.', and start with a letter or a digit`}},
	{"name reserved", `bandwidth = `, "name = \"lo\"\nbandwidth = ", []string{`:4: interface.name: "lo" is reserved by the kernel; choose another, such as "totg0"`}},
	{"name number", `bandwidth = `, "name = 7\nbandwidth = ", []string{`:4: interface.name: is a number; write a string: name = "totg0"`}},
	{"no key", "private_key_file = \"a.key\"\n", "", []string{`:1: interface.private_key_file: is missing; make a key with "totg keygen -o totg.key" and write private_key_file = "totg.key"`}},
	{"both keys", "private_key_file", "private_key = \"OWN_PRIVATE\"\nprivate_key_file", []string{`:3: interface.private_key_file: there is a private_key too, at line 2; keep one of the two`}},
	{"key file absent", `"a.key"`, `"none.key"`, []string{`:2: interface.private_key_file: "none.key": no such file or directory; name a file that holds the key`}},
	{"key file empty name", `"a.key"`, `""`, []string{`:2: interface.private_key_file: is empty; write the path of a file`}},
	{"key file folder", `"a.key"`, `"/"`, []string{`:2: interface.private_key_file: "/": not a regular file; name a file that holds the key`}},
	{"key file world-readable", `"a.key"`, `"open.key"`, []string{`:2: interface.private_key_file: "open.key": others than its owner can read it (mode 0644); run: chmod 600 open.key`}},
	{"key file group-readable", `"a.key"`, `"group.key"`, []string{`:2: interface.private_key_file: "group.key": others than its owner can read it (mode 0640); run: chmod 600 group.key`}},
	{"key file nonsense", `"a.key"`, `"bad.key"`, []string{`:2: interface.private_key_file: holds no private key; make one with "totg keygen": 32 bytes in base64, 44 characters`}},
	{"key file void", `"a.key"`, `"empty.key"`, []string{`:2: interface.private_key_file: holds no private key; make one with "totg keygen": 32 bytes in base64, 44 characters`}},
	{"key file huge", `"a.key"`, `"huge.key"`, []string{`:2: interface.private_key_file: "huge.key": too large for a key; name a file that holds the key`}},
	{"key nonsense", `private_key_file = "a.key"`, `private_key = "hush-hush"`, []string{`:2: interface.private_key: holds no private key; make one with "totg keygen": 32 bytes in base64, 44 characters`}},
	{"key type", `private_key_file = "a.key"`, `private_key = 1`, []string{`:2: interface.private_key: is a number; write a string: private_key = "…"`}},
	{"no addresses", "addresses = [\"10.77.0.1/24\"]\n", "", []string{`:1: interface.addresses: is missing; write the tunnel addresses of this host: addresses = ["10.77.0.1/24"]`}},
	{"empty addresses", `["10.77.0.1/24"]`, "[]", []string{`:3: interface.addresses: is empty; write the tunnel addresses of this host: addresses = ["10.77.0.1/24"]`}},
	{"address no list", `["10.77.0.1/24"]`, `"10.77.0.1/24"`, []string{`:3: interface.addresses: is a string; write a list of strings: addresses = ["10.77.0.1/24"]`}},
	{"address type", `["10.77.0.1/24"]`, "[\n 1,\n true, 1.5, [], {}, 2020-01-01]", []string{
		`:3: interface.addresses: holds a list; write strings: addresses = ["10.77.0.1/24"]`,
		`:4: interface.addresses: holds a number; write strings: addresses = ["10.77.0.1/24"]`,
		`:5: interface.addresses: holds a boolean; write strings: addresses = ["10.77.0.1/24"]`,
		`:5: interface.addresses: holds a decimal number; write strings: addresses = ["10.77.0.1/24"]`,
		`:5: interface.addresses: holds a table; write strings: addresses = ["10.77.0.1/24"]`,
		`:5: interface.addresses: holds a date or time; write strings: addresses = ["10.77.0.1/24"]`,
	}},
	{"address without length", `"10.77.0.1/24"`, "\n\"10.77.0.1\",\n\"fd77::1\"", []string{
		`:4: interface.addresses: "10.77.0.1" has no prefix length; write "10.77.0.1/24"`,
		`:5: interface.addresses: "fd77::1" has no prefix length; write "fd77::1/64"`,
	}},
	{"address nonsense", `"10.77.0.1/24"`, `"10.77.0/24"`, []string{`:3: interface.addresses: "10.77.0/24" is no address with a prefix length; write one such as "10.77.0.1/24" or "fd77::1/64"`}},
	{"address mapped", `"10.77.0.1/24"`, `"::ffff:10.77.0.1/120"`, []string{`:3: interface.addresses: "::ffff:10.77.0.1/120" is an IPv4 address in IPv6 form; write it in IPv4 form`}},
	{"address network", `"10.77.0.1/24"`, `"10.77.0.0/24", "fd77::/64"`, []string{
		`:3: interface.addresses: "10.77.0.0/24" is the network's own address; write the host's, such as "10.77.0.1/24"`,
		`:3: interface.addresses: "fd77::/64" is the network's own address; write the host's, such as "fd77::1/64"`,
	}},
	{"address multicast", `"10.77.0.1/24"`, `"224.0.0.1/24"`, []string{`:3: interface.addresses: "224.0.0.1/24" cannot be a host's address; write one such as "10.77.0.1/24"`}},
	{"address twice", `"10.77.0.1/24"`, "\"10.77.0.1/24\",\n\"10.77.0.1/16\"", []string{`:4: interface.addresses: "10.77.0.1/16" is in the list already, at line 3; remove one`}},
	{"too many addresses", `"10.77.0.1/24"`, strings.Repeat(`"10.77.0.1/24",`, MaxAddresses+1), []string{`:3: interface.addresses: holds 65 addresses; at most 64 are possible`}},
	{"listen no port", `bandwidth = `, "listen = \"0.0.0.0\"\nbandwidth = ", []string{`:4: interface.listen: "0.0.0.0" is no address with a port; add the port: "0.0.0.0:4430"`}},
	{"listen name", `bandwidth = `, "listen = \"localhost:4430\"\nbandwidth = ", []string{`:4: interface.listen: "localhost:4430" is no address with a port; write an IP address and a port, such as "0.0.0.0:4430" or "[::]:4430"`}},
	{"listen multicast", `bandwidth = `, "listen = \"224.0.0.1:4430\"\nbandwidth = ", []string{`:4: interface.listen: "224.0.0.1:4430" is a multicast address; write an address of this host, or "[::]:4430" for all`}},
	{"listen type", `bandwidth = `, "listen = 4430\nbandwidth = ", []string{`:4: interface.listen: is a number; write a string: listen = "0.0.0.0:4430"`}},
	{"listen without port and peer without endpoint", `bandwidth = `, "listen = \":0\"\nbandwidth = ", []string{`:13: peer.endpoint: is missing, and interface.listen has no fixed port that this peer could call; give the peer an endpoint or interface.listen a port`}},
	{"listen family", `bandwidth = `, "listen = \"[2001:db8::1]:4430\"\nbandwidth = ", []string{`:10: peer.endpoint: "198.51.100.2:4430" cannot be reached from interface.listen, "[2001:db8::1]:4430"; use addresses of one family, or listen = "[::]:4430"`}},
	{"mtu small", `bandwidth = `, "mtu = 575\nbandwidth = ", []string{`:4: interface.mtu: 575 is out of range; write a number from 576 to 65535`}},
	{"mtu large", `bandwidth = `, "mtu = 65536\nbandwidth = ", []string{`:4: interface.mtu: 65536 is out of range; write a number from 576 to 65535`}},
	{"mtu type", `bandwidth = `, "mtu = \"1500\"\nbandwidth = ", []string{`:4: interface.mtu: is a string; write a whole number of bytes: mtu = 1500`}},
	{"mtu decimal", `bandwidth = `, "mtu = 1500.5\nbandwidth = ", []string{`:4: interface.mtu: is a decimal number; write a whole number of bytes: mtu = 1500`}},
	{"mtu small for IPv6", `"10.77.0.1/24"]`, "\"10.77.0.1/24\", \"fd77::1/64\"]\nmtu = 1279", []string{`:4: interface.mtu: 1279 is out of range; write a number from 1280 to 65535 with IPv6 addresses`}},
	{"mtu small for IPv6 peer", "", "[interface]\nprivate_key_file = \"a.key\"\naddresses = [\"10.77.0.1/24\"]\nmtu = 1279\nbandwidth = \"1Mbit\"\n" +
		"[[peer]]\npublic_key = \"B_KEY\"\nallowed_ips = [\n\"10.77.0.2/32\",\n\"fd77::/64\"]\n", []string{`:10: peer.allowed_ips: "fd77::/64" needs an mtu of at least 1280; interface.mtu is 1279`}},
	{"mtu tap", `bandwidth = `, "mtu = 65518\nmode = \"tap\"\nbandwidth = ", []string{
		`:4: interface.mtu: 65518 is out of range; write a number from 576 to 65517 in TAP mode`,
		`:12: peer.allowed_ips: has no meaning in TAP mode, where Ethernet frames are not filtered; remove it`,
		`:14: peer: there are 2 peers; mode = "tap" connects exactly one`,
		`:17: peer.allowed_ips: has no meaning in TAP mode, where Ethernet frames are not filtered; remove it`,
	}},
	{"mode unknown", `bandwidth = `, "mode = \"TUN\"\nbandwidth = ", []string{`:4: interface.mode: "TUN" is no mode; write "tun" (IP packets) or "tap" (Ethernet frames, one peer)`}},
	{"mode type", `bandwidth = `, "mode = false\nbandwidth = ", []string{`:4: interface.mode: is a boolean; write a string: mode = "tun"`}},
	{"tap", `bandwidth = `, "mode = \"tap\"\nbandwidth = ", []string{
		`:11: peer.allowed_ips: has no meaning in TAP mode, where Ethernet frames are not filtered; remove it`,
		`:13: peer: there are 2 peers; mode = "tap" connects exactly one`,
		`:16: peer.allowed_ips: has no meaning in TAP mode, where Ethernet frames are not filtered; remove it`,
	}},
	{"rate unknown", `bandwidth = `, "rate = \"50Mbit\"\nbandwidth = ", []string{`:4: interface.rate: "50Mbit" is no rate mode; write "fair", "scavenger" or "fixed" (the speed itself goes into bandwidth)`}},
	{"fixed without bandwidth", `bandwidth = "50Mbit"`, `rate = "fixed"`, []string{`:1: interface.bandwidth: is missing, and rate is "fixed"; write how fast this host can send, bandwidth = "50Mbit", or rate = "fair"`}},
	{"bandwidth type", `"50Mbit"`, `50`, []string{`:4: interface.bandwidth: is a number; write a string: bandwidth = "50Mbit"`}},
	{"bandwidth without unit", `"50Mbit"`, `"50"`, []string{`:4: interface.bandwidth: "50" has no unit; write a number and a unit, such as "50Mbit", "2.5Gbit" or "512kbit"`}},
	{"bandwidth in bytes", `"50Mbit"`, `"50MB"`, []string{`:4: interface.bandwidth: "50MB" counts bytes; write bits, "400Mbit"`}},
	{"bandwidth unit", `"50Mbit"`, `"50Mbps"`, []string{`:4: interface.bandwidth: "50Mbps" has an unknown unit; write a number and a unit, such as "50Mbit", "2.5Gbit" or "512kbit"`}},
	{"bandwidth nonsense", `"50Mbit"`, `"fast"`, []string{`:4: interface.bandwidth: "fast" is no rate; write a number and a unit, such as "50Mbit", "2.5Gbit" or "512kbit"`}},
	{"bandwidth small", `"50Mbit"`, `"9kbit"`, []string{`:4: interface.bandwidth: "9kbit" is out of range; write a rate from 10kbit to 100Gbit`}},
	{"bandwidth large", `"50Mbit"`, `"101Gbit"`, []string{`:4: interface.bandwidth: "101Gbit" is out of range; write a rate from 10kbit to 100Gbit`}},
	{"redundancy word", `bandwidth = `, "redundancy = \"full\"\nbandwidth = ", []string{`:4: interface.redundancy: "full" is no redundancy; write "auto" or a number from 0 to 100`}},
	{"redundancy upper case", `bandwidth = `, "redundancy = \"AUTO\"\nbandwidth = ", []string{`:4: interface.redundancy: "AUTO" is no redundancy; write "auto" or a number from 0 to 100`}},
	{"redundancy empty", `bandwidth = `, "redundancy = \"\"\nbandwidth = ", []string{`:4: interface.redundancy: "" is no redundancy; write "auto" or a number from 0 to 100`}},
	{"redundancy quoted", `bandwidth = `, "redundancy = \"0.50\"\nbandwidth = ", []string{`:4: interface.redundancy: "0.50" is a string; write the number without quotes: redundancy = 0.5`}},
	{"redundancy quoted and large", `bandwidth = `, "redundancy = \"1e999\"\nbandwidth = ", []string{`:4: interface.redundancy: "1e999" is out of range; write "auto" or a number from 0 to 100`}},
	{"redundancy negative", `bandwidth = `, "redundancy = -1\nbandwidth = ", []string{`:4: interface.redundancy: -1 is out of range; write "auto" or a number from 0 to 100`}},
	{"redundancy large", `bandwidth = `, "redundancy = 101\nbandwidth = ", []string{`:4: interface.redundancy: 101 is out of range; write "auto" or a number from 0 to 100`}},
	{"redundancy a little large", `bandwidth = `, "redundancy = 100.5\nbandwidth = ", []string{`:4: interface.redundancy: 100.5 is out of range; write "auto" or a number from 0 to 100`}},
	{"redundancy infinite", `bandwidth = `, "redundancy = -inf\nbandwidth = ", []string{`:4: interface.redundancy: -inf is out of range; write "auto" or a number from 0 to 100`}},
	{"redundancy no number", `bandwidth = `, "redundancy = nan\nbandwidth = ", []string{`:4: interface.redundancy: nan is no redundancy; write "auto" or a number from 0 to 100`}},
	{"redundancy type", `bandwidth = `, "redundancy = false\nbandwidth = ", []string{`:4: interface.redundancy: is a boolean; write "auto" or a number from 0 to 100`}},
	{"arq type", `bandwidth = `, "arq = \"yes\"\nbandwidth = ", []string{`:4: interface.arq: is a string; write true or false: arq = false`}},
	{"routes mode", `bandwidth = `, "routes = \"never\"\nbandwidth = ", []string{`:4: interface.routes: "never" is no such mode; write "always" or "committed"`}},
	{"rekey form", `bandwidth = `, "rekey = \"often\"\nbandwidth = ", []string{`:4: interface.rekey: "often" is no duration; write a number and a unit, such as "2m"`}},
	{"rekey range", `bandwidth = `, "rekey = \"2h\"\nbandwidth = ", []string{`:4: interface.rekey: "2h" is out of range; write a time from "1s" to "1h"`}},
	{"arq number", `bandwidth = `, "arq = 1\nbandwidth = ", []string{`:4: interface.arq: is a number; write true or false: arq = false`}},
}

var peerMistakes = []mistake{
	{"peer unknown key", `name = "b"`, "allowedips = []\nname = \"b\"", []string{`:7: peer.allowedips: unknown key; did you mean "allowed_ips"?`}},
	{"peer name", `"b"`, `"b b"`, []string{`:7: peer.name: "b b" cannot be a peer's name; use 1 to 64 letters, digits, '_', '-', '.' and '@'`}},
	{"peer name type", `"b"`, `1`, []string{`:7: peer.name: is a number; write a string: name = "office"`}},
	{"peer name twice", `"c"`, `"b"`, []string{`:13: peer.name: "b" is the name of the peer at line 7 too; give each peer its own`}},
	{"no public key", "public_key = \"B_KEY\"\n", "", []string{`:6: peer.public_key: is missing; write what "totg pubkey" prints on the other end`}},
	{"public key type", `"B_KEY"`, "1", []string{`:8: peer.public_key: is a number; write a string: public_key = "…"`}},
	{"public key nonsense", `"B_KEY"`, `"AAAA"`, []string{`:8: peer.public_key: is no public key; write what "totg pubkey" prints on the other end: 44 characters of base64`}},
	{"public key own", `"B_KEY"`, `"OWN_KEY"`, []string{`:8: peer.public_key: is this host's own key; write what "totg pubkey" prints on the other end`}},
	{"public key twice", `"C_KEY"`, `"B_KEY"`, []string{`:14: peer.public_key: is the key of the peer at line 8 too; each peer has a key of its own`}},
	{"psk twice", `name = "b"`, "preshared_key = \"x\"\npreshared_key_file = \"psk\"\nname = \"b\"", []string{`:8: peer.preshared_key_file: there is a preshared_key too, at line 7; keep one of the two`}},
	{"psk nonsense", `name = "b"`, "preshared_key = \"hush-hush\"\nname = \"b\"", []string{`:7: peer.preshared_key: holds no preshared key; make one with "totg keygen --psk": 32 bytes in base64, 44 characters`}},
	{"psk file world-readable", `name = "b"`, "preshared_key_file = \"open.key\"\nname = \"b\"", []string{`:7: peer.preshared_key_file: "open.key": others than its owner can read it (mode 0644); run: chmod 600 open.key`}},
	{"endpoint type", `"198.51.100.2:4430"`, `4430`, []string{`:9: peer.endpoint: is a number; write a string: endpoint = "198.51.100.2:4430"`}},
	{"endpoint no port", `"198.51.100.2:4430"`, `"198.51.100.2"`, []string{`:9: peer.endpoint: "198.51.100.2" is no host with a port; add the port: "198.51.100.2:4430"`}},
	{"endpoint name no port", `"198.51.100.2:4430"`, `"vpn.example.org"`, []string{`:9: peer.endpoint: "vpn.example.org" is no host with a port; add the port: "vpn.example.org:4430"`}},
	{"endpoint v6 no port", `"198.51.100.2:4430"`, `"2001:db8::1"`, []string{`:9: peer.endpoint: "2001:db8::1" is no host with a port; add the port: "[2001:db8::1]:4430"`}},
	{"endpoint nonsense", `"198.51.100.2:4430"`, `"http://example.org/"`, []string{`:9: peer.endpoint: "//example.org/" is no port; write a number from 1 to 65535`}},
	{"endpoint port", `"198.51.100.2:4430"`, `"198.51.100.2:0"`, []string{`:9: peer.endpoint: "0" is no port; write a number from 1 to 65535`}},
	{"endpoint port name", `"198.51.100.2:4430"`, `"198.51.100.2:https"`, []string{`:9: peer.endpoint: "https" is no port; write a number from 1 to 65535`}},
	{"endpoint any", `"198.51.100.2:4430"`, `"0.0.0.0:4430"`, []string{`:9: peer.endpoint: "0.0.0.0" is not the address of a host; write the peer's own address`}},
	{"endpoint mistyped address", `"198.51.100.2:4430"`, `"198.51.100.256:4430"`, []string{`:9: peer.endpoint: "198.51.100.256" is neither an IP address nor a host name; write one such as "198.51.100.2" or "vpn.example.org"`}},
	{"endpoint label", `"198.51.100.2:4430"`, `"a..b:4430"`, []string{`:9: peer.endpoint: "a..b" is neither an IP address nor a host name; write one such as "198.51.100.2" or "vpn.example.org"`}},
	{"no allowed ips", "allowed_ips = [\"10.77.0.2/32\"]\n", "", []string{`:6: peer.allowed_ips: is missing; write the addresses behind this peer: allowed_ips = ["10.77.0.2/32"]`}},
	{"empty allowed ips", `["10.77.0.2/32"]`, `[]`, []string{`:10: peer.allowed_ips: is empty; write the addresses behind this peer: allowed_ips = ["10.77.0.2/32"]`}},
	{"allowed ips no list", `["10.77.0.2/32"]`, `"10.77.0.2/32"`, []string{`:10: peer.allowed_ips: is a string; write a list of strings: allowed_ips = ["10.77.0.2/32"]`}},
	{"allowed ips without length", `"10.77.0.2/32"`, `"10.77.0.2"`, []string{`:10: peer.allowed_ips: "10.77.0.2" has no prefix length; write "10.77.0.2/32"`}},
	{"allowed ips host bits", `"10.77.0.2/32"`, `"10.77.0.2/24"`, []string{`:10: peer.allowed_ips: "10.77.0.2/24" has bits set after its prefix; write "10.77.0.0/24" for the network or "10.77.0.2/32" for the one address`}},
	{"allowed ips own", `"10.77.0.2/32"`, `"10.77.0.1/32"`, []string{`:10: peer.allowed_ips: "10.77.0.1/32" is this host's own address; write the peer's`}},
	{"allowed ips twice", `"10.77.0.2/32"`, "\"10.77.0.2/32\",\n\"10.77.0.2/32\"", []string{`:11: peer.allowed_ips: "10.77.0.2/32" is given already, at line 10; a prefix belongs to one peer`}},
	{"allowed ips of another", `"10.77.0.3/32"`, `"10.77.0.2/32"`, []string{`:15: peer.allowed_ips: "10.77.0.2/32" is given already, at line 10; a prefix belongs to one peer`}},
	{"allowed ips too many", `"10.77.0.2/32"`, strings.Repeat(`"10.77.0.2/32",`, MaxAllowedIPs+1), []string{`:10: peer.allowed_ips: holds 1025 prefixes; at most 1024 are possible`}},
	{"keepalive type", `name = "b"`, "keepalive = 15\nname = \"b\"", []string{`:7: peer.keepalive: is a number; write a string: keepalive = "15s"`}},
	{"keepalive nonsense", `name = "b"`, "keepalive = \"15\"\nname = \"b\"", []string{`:7: peer.keepalive: "15" is no duration; write a number and a unit, such as "15s" or "1m"`}},
	{"keepalive short", `name = "b"`, "keepalive = \"10ms\"\nname = \"b\"", []string{`:7: peer.keepalive: "10ms" is out of range; write a time from "1s" to "1h", or "0s" for none`}},
	{"keepalive long", `name = "b"`, "keepalive = \"2h\"\nname = \"b\"", []string{`:7: peer.keepalive: "2h" is out of range; write a time from "1s" to "1h", or "0s" for none`}},
}

// A file that cannot be read is one line as well.
func TestUnreadable(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none.toml": "none.toml: no such file or directory",
		"folder":    "folder: is a folder; name the TOML file in it",
	} {
		if _, err := Load(name); err == nil || err.Error() != want {
			t.Errorf("Load(%q): got %v, want %s", name, err, want)
		}
	}
}

// A configuration with a key in it must be private; one that names key files need not be.
func TestConfigPermissions(t *testing.T) {
	own, b := newPair(t), newPair(t)
	text := strings.ReplaceAll(base, "B_KEY", b.public)
	folder(t, text, own)
	if err := os.Chmod("totg.toml", 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("totg.toml"); err != nil {
		t.Errorf("without a secret: %v", err)
	}
	write(t, "my totg.toml", strings.Replace(text, `private_key_file = "a.key"`, `private_key = "`+own.private+`"`, 1), 0o644)
	want := `my totg.toml:2: interface.private_key: others than its owner can read this file (mode 0644); run: chmod 600 'my totg.toml'`
	if _, err := Load("my totg.toml"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A named pipe in place of a key must not stop the start for ever.
func TestKeyFilePipe(t *testing.T) {
	own, b := newPair(t), newPair(t)
	folder(t, strings.NewReplacer("B_KEY", b.public, "a.key", "pipe").Replace(base), own)
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	want := `totg.toml:2: interface.private_key_file: "pipe": not a regular file; name a file that holds the key`
	if _, err := Load("totg.toml"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
