package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestMain lets scripts run `pullgate`: this test binary under that name. pullgate-limited is the same in a
// control group whose limit is in a file of the test's.
func TestMain(m *testing.M) {
	testscript.Main(closesDatabase{m}, map[string]func(){
		"pullgate": main, "pullgate-limited": func() { os.Exit(program(os.Getenv(limitFileOfTest))) },
	})
}

const limitFileOfTest = "MEMORY_MAX_OF_TEST"

// TestScripts runs the program as users do, one script per behaviour they can see. With
// -update the files that scripts compare with are rewritten.
func TestScripts(t *testing.T) {
	example, err := filepath.Abs("../../examples/first-license")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("EXAMPLE", example)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "flip": flip, "large": large, "latin1": latin1, "paste": paste,
		},
	})
}

// exits CODE PROGRAM ARGS… runs a program, which must end with that code. A 2 is one line on
// standard error that begins with the program's name, and nothing on standard output.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if want != exitUnknown {
		return
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("standard output of an error is not empty: %q", out)
	}
	if text := ts.ReadFile("stderr"); !strings.HasPrefix(text, "pullgate: ") {
		ts.Fatalf("standard error does not say who speaks: %q", text)
	}
}

// flip FILE changes one bit in the middle of a file.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// large FILE BYTES writes a file of comments.
func large(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte("# padding\n"), n/10), 0o644))
}

// latin1 FILE rewrites a file of UTF-8 in ISO 8859-1.
func latin1(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	var out []byte
	for _, r := range string(data) {
		out = append(out, byte(r))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out, 0o644))
}

// paste FILE AFTER puts the lines of the last standard output that are neither empty nor
// comments nor a secret after a line of a file, as `key new` asks its reader to do.
func paste(ts *testscript.TestScript, _ bool, args []string) {
	var lines string
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "pg_") {
			lines += line
		}
	}
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	text := strings.Replace(string(data), args[1]+"\n", args[1]+"\n"+lines, 1)
	if text == string(data) {
		ts.Fatalf("%s has no line %q, or there is nothing to paste", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}

// TestHelp compares the help of every command with a file, so that a change of a flag or of a
// text is seen in review. -update rewrites them.
func TestHelp(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	eachCommand(newRoot(), func(c *cobra.Command) {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".txt"
		files = append(files, name)
		t.Run(c.CommandPath(), func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append(strings.Fields(c.CommandPath())[1:], "--help")
			if code := run(t.Context(), args, nil, &out, &errs); code != exitYes || errs.Len() > 0 {
				t.Fatalf("exit code %d, standard error %q", code, errs.String())
			}
			got := strings.ReplaceAll(out.String(), fmt.Sprintf("(default %q)", host), "(default: the host's name)")
			file := filepath.Join("testdata", "help", name)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("not as in %s (-update writes it):\n%s", file, got)
			}
		})
	})
	kept, err := os.ReadDir(filepath.Join("testdata", "help"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range kept {
		if !slices.Contains(files, f.Name()) {
			t.Errorf("testdata/help/%s is the help of no command", f.Name())
		}
	}
}
