package board

import (
	"bytes"
	"context"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

var page = template.Must(template.New("page.html").Funcs(shapes).ParseFS(assets, "assets/page.html"))

// asset is a file of the page; they are embedded, so it is there.
func asset(name string) string {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic("board: " + err.Error())
	}
	return string(b)
}

// Options of a Handler.
type Options struct {
	// Token allows requests that change something, as the bearer token or in the
	// page's form; empty allows none.
	Token string
	// Interval is the least time between two pictures sent; default 500 ms.
	Interval time.Duration
}

// Page is an http.Handler for the page at its root: /, /state (JSON), /events
// (server-sent events), /log?card=ID, and POST /do?verb=…&card=ID with the token.
type Page struct {
	http.Handler
	h *handler
}

// Handler makes the Page of a Source.
func Handler(s Source, o Options) *Page {
	if o.Interval <= 0 {
		o.Interval = 500 * time.Millisecond
	}
	h := &handler{source: s, opts: o, over: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.page)
	mux.HandleFunc("GET /state", h.state)
	mux.HandleFunc("GET /events", h.events)
	mux.HandleFunc("GET /log", h.log)
	mux.HandleFunc("POST /do", h.do)
	return &Page{secured(mux), h}
}

// End gives everybody who looks the last picture, which their pages keep though
// the server goes away: its Shutdown waits until all have it. Call it once.
func (p *Page) End(last *Board) {
	last.Over = true
	p.h.last = last
	close(p.h.over)
}

type handler struct {
	source Source
	opts   Options

	over chan struct{} // closed when last is there
	last *Board
}

// secured keeps pages of others from using this one, and this one from loading
// anything that is not its own.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// view is what the page is made from.
type view struct {
	*Board
	Live          bool
	Style, Script string
	JSON          string
}

// CSS and JS are ours, and embedded.
func (v view) CSS() template.CSS { return template.CSS(v.Style) }
func (v view) JS() template.JS   { return template.JS(v.Script) }

// Data is the Board as a script element holds it: json.Marshal escapes <, > and &.
func (v view) Data() template.JS { return template.JS(v.JSON) }

func render(b *Board, live bool) ([]byte, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	v := view{Board: b, Live: live, Style: asset("board.css"), Script: asset("board.js"), JSON: string(data)}
	if err := page.Execute(&out, v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// HTML is a Board as one self-contained file.
func HTML(b *Board) ([]byte, error) { return render(b, false) }

func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	b, err := h.board(r.Context())
	if err == nil {
		var out []byte
		if out, err = render(b, true); err == nil {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write(out)
			return
		}
	}
	h.fail(w, err)
}

func (h *handler) board(ctx context.Context) (*Board, error) {
	select {
	case <-h.over:
		return h.last, nil
	default:
	}
	b, err := h.source.Board(ctx)
	if err != nil {
		return nil, err
	}
	_, can := h.source.(Controller)
	b.Controls = can && h.opts.Token != ""
	return b, nil
}

func (h *handler) fail(w http.ResponseWriter, err error) {
	slog.Warn("board", "error", err)
	http.Error(w, "the state cannot be read now", http.StatusInternalServerError)
}

func (h *handler) state(w http.ResponseWriter, r *http.Request) {
	b, err := h.board(r.Context())
	if err != nil {
		h.fail(w, err)
		return
	}
	h.json(w, b)
}

func (h *handler) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("board", "error", err)
	}
}

// events sends the state whenever it changes, at most once an Interval, and a
// comment every 15 s so that nothing in between closes the connection.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "no streaming", http.StatusNotImplemented)
		return
	}
	changes, stop := h.source.Watch()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	for {
		b, err := h.board(r.Context())
		if err != nil {
			return // the page connects again
		}
		data, err := json.Marshal(b)
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "event: board\ndata: %s\n\n", data); err != nil {
			return
		}
		flusher.Flush()
		if b.Over {
			return
		}
		pause := time.NewTimer(h.opts.Interval)
		select {
		case <-r.Context().Done():
			pause.Stop()
			return
		case <-h.over:
			pause.Stop()
			continue
		case <-pause.C:
		}
		for waiting := true; waiting; {
			select {
			case <-r.Context().Done():
				return
			case <-h.over:
				waiting = false
			case <-changes:
				waiting = false
			case <-alive.C:
				if _, err := fmt.Fprint(w, ": alive\n\n"); err != nil {
					return
				}
				flusher.Flush()
			}
		}
	}
}

func (h *handler) log(w http.ResponseWriter, r *http.Request) {
	lines, err := h.source.Log(r.Context(), r.URL.Query().Get("card"))
	if err != nil {
		h.fail(w, err)
		return
	}
	h.json(w, append([]Line{}, lines...))
}

// do takes a request of an operator. A page of another site cannot send the
// header, so it cannot make this one do anything.
func (h *handler) do(w http.ResponseWriter, r *http.Request) {
	c, ok := h.source.(Controller)
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || h.opts.Token == "" || !bearer || subtle.ConstantTimeCompare([]byte(token), []byte(h.opts.Token)) != 1 {
		http.Error(w, "this page only shows; a token is needed to change something", http.StatusForbidden)
		return
	}
	verb := r.URL.Query().Get("verb")
	switch verb {
	case "pause", "continue", "cancel", "retry":
	default:
		http.Error(w, "verb is pause, continue, cancel or retry", http.StatusBadRequest)
		return
	}
	if err := c.Do(r.Context(), verb, r.URL.Query().Get("card")); err != nil {
		status := http.StatusConflict
		if errors.Is(err, context.Canceled) {
			status = http.StatusServiceUnavailable
		}
		http.Error(w, err.Error(), status)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
