package tunnel
import ("testing";"time";"net/http";"os";"runtime/pprof")
func TestDbg(t *testing.T) {
	r := newRelay(t, "")
	public := publish(t, r, "web-demo", 250*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {}))
	_ = public
	for i := range 8 { <-time.After(250*time.Millisecond); t.Log(i, r.pairs.Load()) }
	pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
}
