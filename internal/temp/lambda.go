package temp

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bucketload/bucketload"
)

// Limits and names of the service. Sources: AWS Lambda developer guide, "Lambda
// quotas"; the account is the one of its examples.
const (
	lambdaPayload  = 6 << 20             // bytes of an event
	lambdaResponse = lambdaPayload + 100 // bytes of an answer
	lambdaTimeout  = 3 * time.Second     // where a function says none
	lambdaMemory   = 128                 // MB, likewise
	lambdaRegion   = "us-east-1"
	lambdaAccount  = "123456789012"
)

// LambdaFunction is a function of a Lambda.
type LambdaFunction struct {
	Name           string
	Handler        string            // what _HANDLER says
	Binary         string            // the program; it runs in its own directory
	Env            map[string]string // goes over what the service sets; nothing comes from this process
	Timeout        time.Duration     // of an invocation; 0: 3 s
	Memory         int               // MB, told to the function but not enforced; 0: 128
	MaxConcurrency int               // invocations at once, others get TooManyRequestsException; 0: any number
}

// Lambda is AWS Lambda for tests: its Invoke API in this process, and every
// function's own program as real processes, which are served by the Runtime
// API. As on the service a process has one invocation at a time, is frozen when
// it is idle and used again; it is killed at the function's timeout.
//
// An invocation is answered when its process asks for the next one or has
// ended, so that calls one after the other always find it idle.
type Lambda struct {
	server  http.Server
	url     string
	dir     string // holds the functions' logs
	running sync.WaitGroup

	mu        sync.Mutex
	functions map[string]*function
	fault     func(LambdaInvocation) *LambdaFault
	closed    bool
}

// function is a function and what runs of it.
type function struct {
	LambdaFunction
	log         *os.File
	processes   map[*process]bool // that have not ended
	idle        []*process
	busy        int // invocations under way
	invocations int64
	starts      int64
}

// StartLambda serves functions until Close. Their processes start with their
// first invocations.
func StartLambda(functions ...LambdaFunction) (*Lambda, error) {
	dir, err := os.MkdirTemp("", "bucketload-lambda-")
	if err != nil {
		return nil, err
	}
	l := &Lambda{dir: dir, functions: map[string]*function{}}
	for i, f := range functions {
		f.Timeout = cmp.Or(f.Timeout, lambdaTimeout)
		f.Memory = cmp.Or(f.Memory, lambdaMemory)
		// The processes write to the file themselves: what one wrote before it
		// answered is there when the answer is.
		out, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(i)), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.functions[f.Name] = &function{LambdaFunction: f, log: out, processes: map[*process]bool{}}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(&bucketload.Error{Op: "lambda", Code: bucketload.CodeConnect, Message: "the test Lambda has no port to listen on", Err: err}, l.Close())
	}
	l.url = "http://" + listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", l.invoke)
	l.server = http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = l.server.Serve(listener) }() // it ends with ErrServerClosed
	return l, nil
}

// URL is the endpoint of the Invoke API.
func (l *Lambda) URL() string { return l.url }

// ARN is a function's Amazon resource name.
func (l *Lambda) ARN(function string) string {
	return "arn:aws:lambda:" + lambdaRegion + ":" + lambdaAccount + ":function:" + function
}

// Close ends the server and all processes at once. Callers that wait for an
// answer lose their connection.
func (l *Lambda) Close() error {
	l.mu.Lock()
	l.closed = true
	var processes []*process
	for _, f := range l.functions {
		processes = slices.AppendSeq(processes, maps.Keys(f.processes))
	}
	l.mu.Unlock()
	err := l.server.Close()
	for _, p := range processes {
		p.kill()
	}
	l.running.Wait()
	for _, f := range l.functions {
		err = errors.Join(err, f.log.Close())
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// Log gives what a function's processes have written to stdout and stderr, in
// its order; "" after Close.
func (l *Lambda) Log(function string) string {
	f := l.functions[function]
	if f == nil {
		return ""
	}
	text, _ := io.ReadAll(io.NewSectionReader(f.log, 0, 1<<40)) // closed: nothing
	return string(text)
}

// Invocations counts the accepted invocations by function.
func (l *Lambda) Invocations() map[string]int64 {
	return l.count(func(f *function) int64 { return f.invocations })
}

// Starts counts the processes started by function.
func (l *Lambda) Starts() map[string]int64 {
	return l.count(func(f *function) int64 { return f.starts })
}

func (l *Lambda) count(of func(*function) int64) map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int64{}
	for name, f := range l.functions {
		counts[name] = of(f)
	}
	return counts
}

// LambdaInvocation is an accepted invocation, for a fault to choose by.
type LambdaInvocation struct {
	Function string // its name
	Number   int64  // of the function's invocations, from 1
	Payload  json.RawMessage
}

// LambdaFault is what goes wrong with one invocation.
type LambdaFault struct {
	// Status and Code refuse it, for example with 500 and ServiceException or
	// with 429 and TooManyRequestsException. The function is not called.
	Status int
	Code   string

	// Kill ends the process when the channel is closed and the invocation has no
	// answer yet; not before the process has taken it.
	Kill <-chan struct{}

	// Lose has the function run, and loses its answer: the caller gets an error
	// without a type, which Step Functions calls Lambda.Unknown.
	Lose bool

	// Cut has the function run, and closes the caller's connection in place of
	// an answer.
	Cut bool
}

// Fault installs a function that is asked about every invocation, from the
// requests' own goroutines; nil for no faults.
func (l *Lambda) Fault(f func(LambdaInvocation) *LambdaFault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
}

// invoke is the Invoke API, for invocations that wait for the answer.
func (l *Lambda) invoke(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	w.Header().Set("Content-Type", "application/json")
	name, qualifier := functionName(r)
	f := l.functions[name]
	if f == nil || qualifier != "" && qualifier != "$LATEST" {
		refuse(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+r.PathValue("function"))
		return
	}
	if kind := r.Header.Get("X-Amz-Invocation-Type"); kind != "" && kind != "RequestResponse" {
		refuse(w, http.StatusBadRequest, "InvalidParameterValueException", "the test Lambda has no invocation type "+kind)
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, lambdaPayload))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", lambdaPayload))
		return
	}
	if len(payload) == 0 && err == nil {
		payload = []byte("{}") // as the service has it
	}
	if !json.Valid(payload) {
		refuse(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	}

	v := &invocation{id: id, arn: l.ARN(name), trace: r.Header.Get("X-Amzn-Trace-Id"), payload: payload, limit: f.Timeout,
		answer: make(chan answer, 1), over: make(chan struct{})}
	fault, ok := l.begin(f, payload)
	if !ok {
		refuse(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
		return
	}
	if fault.Status != 0 || fault.Code != "" {
		l.end(f, nil)
		refuse(w, cmp.Or(fault.Status, http.StatusInternalServerError), cmp.Or(fault.Code, "ServiceException"), "a fault")
		return
	}
	v.kill = fault.Kill
	done := make(chan struct{})
	go func() { // a caller that goes away does not end the function
		defer close(done)
		l.end(f, l.run(f, v))
	}()
	select {
	case <-done:
	case <-r.Context().Done():
		return
	}
	if fault.Cut {
		panic(http.ErrAbortHandler)
	}
	a := <-v.answer
	if fault.Lose {
		a = answer{failed: true, payload: errorPayload("", fmt.Sprintf("RequestId: %s Process exited before completing request", id))}
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	if a.failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	_, _ = w.Write(a.payload) // the caller may have gone
}

// begin counts an invocation in, unless the function has as many as it may.
// Every one that is accepted must end.
func (l *Lambda) begin(f *function, payload []byte) (LambdaFault, bool) {
	l.mu.Lock()
	if l.closed || f.MaxConcurrency > 0 && f.busy == f.MaxConcurrency {
		l.mu.Unlock()
		return LambdaFault{}, false
	}
	l.running.Add(1)
	f.busy++
	f.invocations++
	number, ask := f.invocations, l.fault
	l.mu.Unlock()
	if ask != nil {
		if fault := ask(LambdaInvocation{Function: f.Name, Number: number, Payload: payload}); fault != nil {
			return *fault, true
		}
	}
	return LambdaFault{}, true
}

// end counts an invocation out. The process, if there is one, is idle now.
func (l *Lambda) end(f *function, p *process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.busy--
	if p != nil {
		f.idle = append(f.idle, p)
	}
	l.running.Done()
}

// run has a process answer an invocation. It gives the process if that can
// take another one.
func (l *Lambda) run(f *function, v *invocation) *process {
	p, err := l.process(f)
	if err != nil {
		v.fail("Runtime.InvalidEntrypoint", err.Error())
		return nil
	}
	if !p.serve(v) {
		return nil
	}
	return p
}

// process gives an idle process, the last one used, or starts one.
func (l *Lambda) process(f *function) (*process, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(f.idle) > 0 {
		p := f.idle[len(f.idle)-1]
		f.idle = f.idle[:len(f.idle)-1]
		if !p.ended() {
			return p, nil
		}
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	p, err := startProcess(f)
	if err != nil {
		return nil, err
	}
	f.starts++
	f.processes[p] = true
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		<-p.done
		_ = p.server.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(f.processes, p)
	}()
	return p, nil
}

// functionName reads the forms in which a function may be named: its name, its
// ARN or the ARN's end from the account on, each with or without a qualifier.
func functionName(r *http.Request) (name, qualifier string) {
	name = r.PathValue("function")
	const word = "function:"
	if i := strings.Index(name, word); i >= 0 {
		if above := "arn:aws:lambda:" + lambdaRegion + ":" + lambdaAccount + ":"; !strings.HasSuffix(above, name[:i]) {
			return "", ""
		}
		name = name[i+len(word):]
	}
	name, qualifier, _ = strings.Cut(name, ":")
	return name, cmp.Or(qualifier, r.URL.Query().Get("Qualifier"))
}

// refuse answers with an error of the Invoke API.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"Type": "User", "Message": message}) // the caller may have gone
}

// requestID is a random UUID.
func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
