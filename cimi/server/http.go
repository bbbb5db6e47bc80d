package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	bodyTimeout   = 30 * time.Second // to send a request's body
	answerTimeout = 60 * time.Second // to take an answer, or the next piece of a download
	graceful      = 10 * time.Second // for requests to end on shutdown
)

// HTTPServer makes an http.Server for a handler with time and size limits.
// There is no limit on the whole of an answer: downloads may take long.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

// Serve answers requests on ln until ctx is done, lets those under way end for
// 10 seconds, then breaks them off. It returns nil after ctx.
func Serve(ctx context.Context, srv *http.Server, ln net.Listener) error {
	stopped := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-stopped:
			return
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceful)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	}()
	var err error
	if srv.TLSConfig != nil {
		err = srv.ServeTLS(ln, "", "")
	} else {
		err = srv.Serve(ln)
	}
	close(stopped)
	<-done
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		return nil
	}
	return err
}
