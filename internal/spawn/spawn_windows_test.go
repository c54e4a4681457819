package spawn

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A daemon leaves a job that lets it, so the job's end is not the daemon's; in one that does not,
// it is started all the same.
func TestJob(t *testing.T) {
	switch os.Getenv("SPAWN_TEST_JOB") {
	case "launcher":
		launchInJob()
	case "daemon":
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	for _, tt := range []struct {
		name    string
		limits  uint32
		outlast bool
	}{
		{"allows it", windows.JOB_OBJECT_LIMIT_BREAKAWAY_OK, true},
		{"forbids it", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job := newJob(t, tt.limits)
			daemon := daemonOf(t, job)
			if err := windows.TerminateJobObject(job, 1); err != nil {
				t.Fatal(err)
			}
			event, err := windows.WaitForSingleObject(daemon, 3000)
			if err != nil {
				t.Fatal(err)
			}
			if outlasts := event == uint32(windows.WAIT_TIMEOUT); outlasts != tt.outlast {
				t.Errorf("it outlasts the job: %t", outlasts)
			}
		})
	}
}

func newJob(t *testing.T, limits uint32) windows.Handle {
	t.Helper()
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { windows.CloseHandle(job) })
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = limits
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// daemonOf has a process in the job start a daemon, and returns that.
func daemonOf(t *testing.T, job windows.Handle) windows.Handle {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	launcher := exec.CommandContext(t.Context(), self, "-test.run=^TestJob$")
	launcher.Env = append(os.Environ(), "SPAWN_TEST_JOB=launcher")
	in, _ := launcher.StdinPipe()
	out, _ := launcher.StdoutPipe()
	launcher.Stderr = os.Stderr
	if err := launcher.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { launcher.Process.Kill(); launcher.Wait() })
	put(t, job, launcher.Process.Pid)
	fmt.Fprintln(in, "go") // from here on it is in the job
	var pid int
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	} else if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	daemon, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { windows.TerminateProcess(daemon, 1); windows.CloseHandle(daemon) })
	return daemon
}

func put(t *testing.T, job windows.Handle, pid int) {
	t.Helper()
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(process)
	if err := windows.AssignProcessToJobObject(job, process); err != nil {
		t.Fatal(err)
	}
}

// launchInJob starts a daemon once it is told to, prints its pid, and waits for its own end.
func launchInJob() {
	bufio.NewReader(os.Stdin).ReadString('\n')
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	p, err := Start(self, []string{self, "-test.run=^TestJob$"}, append(os.Environ(), "SPAWN_TEST_JOB=daemon"), null)
	if err != nil {
		panic(err)
	}
	fmt.Println(p.PID)
	time.Sleep(time.Minute)
}
