package temp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// lambdaInit is how long a process may take until it first asks for an
// invocation. Source: AWS Lambda developer guide, "Lambda execution
// environment lifecycle", init phase.
const lambdaInit = 10 * time.Second

// invocation is one call of a function on its way through a process.
type invocation struct {
	id      string
	arn     string
	trace   string
	payload []byte
	limit   time.Duration   // from when the process takes it
	kill    <-chan struct{} // closed: the process dies, and gives no answer before it does
	answer  chan answer     // has room for one: the first counts
	over    chan struct{}   // closed when the process asks for the next one
}

// answer is what the function returned, or the error that it ended with.
type answer struct {
	payload []byte
	failed  bool
}

// give has no effect if there is an answer already.
func (v *invocation) give(a answer) {
	select {
	case v.answer <- a:
	default:
	}
}

// fail answers with an error of the service's form, unless there is an answer.
func (v *invocation) fail(kind, message string) {
	v.give(answer{failed: true, payload: errorPayload(kind, fmt.Sprintf("RequestId: %s Error: %s", v.id, message))})
}

// errorPayload is what the Invoke API gives for a function that failed.
func errorPayload(kind, message string) []byte {
	payload, _ := json.Marshal(struct { // strings only
		Type    string `json:"errorType,omitempty"`
		Message string `json:"errorMessage"`
	}{kind, message})
	return payload
}

// process is a running program and its Runtime API, on a port of its own as
// that is how it is known.
type process struct {
	*child
	server http.Server
	next   chan *invocation // to the request that waits for it

	mu        sync.Mutex
	current   *invocation // taken, and not followed by the next request yet
	answered  bool        // current is
	initError []byte      // what the program says why it cannot start
}

func startProcess(f *function) (*process, error) {
	binary, err := filepath.Abs(f.Binary)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{next: make(chan *invocation)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", p.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", p.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", p.serveInitError)
	p.server = http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}

	cmd := exec.Command(binary)
	cmd.Dir = filepath.Dir(binary)
	cmd.Env = f.environ(cmd.Dir, listener.Addr().String())
	cmd.Stdout, cmd.Stderr = f.log, f.log
	cmd.SysProcAttr = owner{}.attributes(false)
	dieWithUs(cmd.SysProcAttr, syscall.SIGKILL) // a frozen process heeds no other
	if p.child, err = startChild(cmd); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	go func() { _ = p.server.Serve(listener) }() // it ends with ErrServerClosed
	return p, nil
}

// environ is what a process on provided.al2023 sees. Source: AWS Lambda
// developer guide, "Defined runtime environment variables".
func (f *function) environ(dir, api string) []string {
	env := []string{
		"_HANDLER=" + f.Handler,
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.Memory),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + requestID(),
		"AWS_REGION=" + lambdaRegion,
		"AWS_DEFAULT_REGION=" + lambdaRegion,
		"AWS_ACCESS_KEY_ID=test",
		"AWS_SECRET_ACCESS_KEY=test",
		"AWS_SESSION_TOKEN=test",
		"LAMBDA_TASK_ROOT=" + dir,
		"LAMBDA_RUNTIME_DIR=/var/runtime",
		"LANG=en_US.UTF-8",
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"TZ=:UTC",
	}
	for name, value := range f.Env {
		env = append(env, name+"="+value)
	}
	return env
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// serve has the process answer an invocation, and is true if the process can
// take another one after it. The function's time begins when it has taken it.
func (p *process) serve(v *invocation) bool {
	p.thaw()
	start := time.NewTimer(lambdaInit)
	defer start.Stop()
	select {
	case p.next <- v:
	case <-p.done:
		p.failInit(v)
		return false
	case <-start.C:
		p.kill()
		p.failInit(v)
		return false
	}
	timeout := time.NewTimer(v.limit)
	defer timeout.Stop()
	kill := v.kill
	for {
		select {
		case <-v.over:
			p.freeze()
			return true
		case <-p.done:
			v.fail("Runtime.ExitError", p.exit())
			return false
		case <-timeout.C:
			p.kill()
			v.fail("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", v.limit.Seconds()))
			return false
		case <-kill:
			kill = nil
			p.kill()
		}
	}
}

// failInit answers for a process that ended before it took the invocation.
func (p *process) failInit(v *invocation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.initError != nil {
		v.give(answer{failed: true, payload: p.initError})
		return
	}
	v.fail("Runtime.ExitError", p.exit())
}

// exit says how the process ended, in the service's words.
func (p *process) exit() string {
	if state := p.cmd.ProcessState; !state.Success() {
		return "Runtime exited with error: " + state.String()
	}
	return "Runtime exited without providing a reason"
}

// serveNext ends the invocation before, and waits for one.
func (p *process) serveNext(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.current != nil {
		if !p.answered {
			p.mu.Unlock()
			runtimeError(w, http.StatusForbidden, "InvalidStateTransition", "the invocation "+p.current.id+" has no answer")
			return
		}
		close(p.current.over)
		p.current, p.answered = nil, false
	}
	p.mu.Unlock()

	var v *invocation
	select {
	case v = <-p.next:
	case <-r.Context().Done():
		return
	}
	p.mu.Lock()
	p.current = v
	p.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", v.id)
	h.Set("Lambda-Runtime-Invoked-Function-Arn", v.arn)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(v.limit).UnixMilli(), 10))
	if v.trace != "" {
		h.Set("Lambda-Runtime-Trace-Id", v.trace)
	}
	_, _ = w.Write(v.payload) // the process may have died
}

func (p *process) serveResponse(w http.ResponseWriter, r *http.Request) { p.serveAnswer(w, r, false) }

func (p *process) serveError(w http.ResponseWriter, r *http.Request) { p.serveAnswer(w, r, true) }

// serveAnswer takes the answer of the current invocation.
func (p *process) serveAnswer(w http.ResponseWriter, r *http.Request, failed bool) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, lambdaResponse))
	_, large := errors.AsType[*http.MaxBytesError](err)
	if err != nil && !large {
		return // the process has gone
	}
	p.mu.Lock()
	v := p.current
	if v != nil {
		select {
		case <-v.kill:
			p.mu.Unlock()
			<-r.Context().Done() // it is about to die
			return
		default:
		}
	}
	defer p.mu.Unlock()
	switch {
	case v == nil || v.id != r.PathValue("id"):
		runtimeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	case large:
		const kind = "Function.ResponseSizeTooLarge"
		message := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", lambdaResponse)
		p.answered = true
		v.give(answer{failed: true, payload: errorPayload(kind, message)})
		runtimeError(w, http.StatusRequestEntityTooLarge, kind, message)
	case p.answered:
		runtimeError(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has an answer already")
	default:
		p.answered = true
		v.give(answer{failed: failed, payload: payload})
		accepted(w)
	}
}

// serveInitError takes why the program cannot start.
func (p *process) serveInitError(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, lambdaResponse))
	if err != nil {
		runtimeError(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	p.mu.Lock()
	p.initError = payload
	p.mu.Unlock()
	accepted(w)
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`) // the process may have died
}

// runtimeError answers with an error of the Runtime API.
func runtimeError(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(errorPayload(kind, message)) // the process may have died
}
