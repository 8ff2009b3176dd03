package doctor

import (
	"net"
	"testing"
	"time"
)

func TestDoctorJudgesAddresses(t *testing.T) {
	tcp := func(ip string) *net.TCPAddr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 4711} }
	for name, test := range map[string]struct {
		a       arrival
		proxied bool
		want    Verdict
		flag    string
	}{
		"a router in between":          {arrival{Address: "198.51.100.1", left: tcp("192.168.1.2"), to: tcp("203.0.113.1")}, false, VerdictOK, ""},
		"Docker's proxy in between":    {arrival{Address: "172.17.0.1", left: tcp("127.0.0.1"), to: tcp("127.0.0.1")}, false, VerdictWarn, ""},
		"a silent proxy of the LAN":    {arrival{Address: "10.0.0.7", left: tcp("10.0.0.2"), to: tcp("10.0.0.7")}, false, VerdictWarn, ""},
		"a proxy that says nothing":    {arrival{Address: "10.0.0.7", left: tcp("10.0.0.2"), to: tcp("10.0.0.7")}, true, VerdictFail, "--trusted-proxies 10.0.0.7"},
		"a proxy that is not believed": {arrival{Address: "10.0.0.7", Forwarded: true}, true, VerdictFail, "--trusted-proxies 10.0.0.7"},
		"a proxy asking for itself":    {arrival{Address: "10.0.0.7", Forwarded: true, Trusted: true, TrustsYou: true}, true, VerdictOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := &exam{proxied: test.proxied}
			if f := e.address(t.Context(), test.a); f.Verdict != test.want || f.Flag != test.flag {
				t.Errorf("got %v, %q", f, f.Flag)
			}
		})
	}
}

func TestDoctorJudgesClocks(t *testing.T) {
	asked := time.Now()
	told := asked.Add(2 * time.Second)
	for off, want := range map[time.Duration]Verdict{
		-2 * time.Minute:          VerdictFail,
		-10 * time.Second:         VerdictWarn,
		-time.Second:              VerdictOK,
		time.Second:               VerdictOK, // on the way
		2*time.Second + 1:         VerdictOK,
		12 * time.Second:          VerdictWarn,
		10 * 365 * 24 * time.Hour: VerdictFail,
	} {
		if f := (arrival{asked: asked, told: told, Time: asked.Add(off)}).clock(); f.Verdict != want {
			t.Errorf("%s: got %v, want %s", off, f, want)
		}
	}
}
