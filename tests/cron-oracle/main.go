// Answers questions about schedules with the library that Kubernetes uses, so that a test can hold ours against it.
//
// Each line of standard input is a question, each line of standard output its answer, both JSON. The zones are those
// of the archive that the environment variable ZONEINFO names.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

// A question: either a schedule with windows, or instants at which a zone's offset is wanted.
type question struct {
	// Text of the schedule.
	Text string `json:"text"`
	// Name of the zone that the clock is in where the text names none.
	Zone string `json:"zone"`
	// Windows, each answered by the chain in which an instant is the next after the one before.
	Windows []window `json:"windows"`
	// Whether the instants themselves are wanted; else their number and a digest tell whether they are the same.
	Full bool `json:"full"`
	// Instants, Unix seconds, at which the offset of the zone is wanted.
	OffsetsAt []int64 `json:"offsets_at"`
}

type window struct {
	// Begin, Unix milliseconds.
	AfterMs int64 `json:"after_ms"`
	// End, Unix seconds; an instant equal to it is in the window.
	UntilS int64 `json:"until_s"`
	// Most instants.
	Limit int `json:"limit"`
}

type answer struct {
	// Why the text or the zone was refused.
	Refused string `json:"refused,omitempty"`
	// One for each window.
	Chains []chain `json:"chains,omitempty"`
	// Seconds east of UTC.
	Offsets []int `json:"offsets,omitempty"`
}

type chain struct {
	Count  int     `json:"count"`
	Digest uint64  `json:"digest"`
	At     []int64 `json:"at,omitempty"`
	// Whether the library said that there is no next instant.
	Never bool `json:"never"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	encoder := json.NewEncoder(out)
	for in.Scan() {
		var asked question
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			fmt.Fprintf(os.Stderr, "cron-oracle: not a question: %v\n", err)
			os.Exit(2)
		}
		if err := encoder.Encode(respond(asked)); err != nil {
			os.Exit(1)
		}
	}
	if in.Err() != nil || out.Flush() != nil {
		os.Exit(1)
	}
}

func respond(asked question) answer {
	zone, err := time.LoadLocation(asked.Zone)
	if err != nil {
		return answer{Refused: err.Error()}
	}
	if asked.OffsetsAt != nil {
		offsets := make([]int, len(asked.OffsetsAt))
		for i, at := range asked.OffsetsAt {
			_, offsets[i] = time.Unix(at, 0).In(zone).Zone()
		}
		return answer{Offsets: offsets}
	}
	schedule, err := parse(asked.Text)
	if err != nil {
		return answer{Refused: err.Error()}
	}
	chains := make([]chain, len(asked.Windows))
	for i, window := range asked.Windows {
		chains[i] = follow(schedule, zone, window, asked.Full)
	}
	return answer{Chains: chains}
}

// parse refuses where the library panics, as Kubernetes does.
func parse(text string) (schedule cron.Schedule, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return cron.ParseStandard(text)
}

// follow gives the instants of the window. The digest is FNV-1a over them, a whole number at a time.
func follow(schedule cron.Schedule, zone *time.Location, window window, full bool) chain {
	found := chain{Digest: 14695981039346656037}
	at := time.UnixMilli(window.AfterMs).In(zone)
	for found.Count < window.Limit {
		at = schedule.Next(at)
		if at.IsZero() {
			found.Never = true
			break
		}
		if at.Unix() > window.UntilS {
			break
		}
		found.Count++
		found.Digest = (found.Digest ^ uint64(at.Unix())) * 1099511628211
		if full {
			found.At = append(found.At, at.Unix())
		}
	}
	return found
}
