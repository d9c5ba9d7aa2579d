package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

// heldVariable carries the descriptor of the list of what a process without a keeper hands to the image that follows it.
const heldVariable = "UPKEEP_HELD_FD"

// handOver writes the list, and lets what is on it pass the execution of the next image. The file is kept open until
// then.
func handOver(held []launch.Held) (list *os.File, environ string, err error) {
	list, err = os.CreateTemp("", "upkeep-held-*")
	if err != nil {
		return nil, "", err
	}
	err = errors.Join(os.Remove(list.Name()), json.NewEncoder(list).Encode(held))
	if err == nil {
		err = inherit(held, true)
	}
	if err == nil {
		err = pipe.Inherit(int(list.Fd()), true)
	}
	if err != nil {
		list.Close()
		return nil, "", fmt.Errorf("what programs write is not handed over: %w", err)
	}
	return list, heldVariable + "=" + strconv.Itoa(int(list.Fd())), nil
}

// handedOver is what the image before this one has handed over, once; nil when there is nothing.
func handedOver() []launch.Held {
	text, ok := os.LookupEnv(heldVariable)
	os.Unsetenv(heldVariable)
	fd, err := strconv.Atoi(text)
	if !ok || err != nil || fd < 3 {
		return nil
	}
	f := os.NewFile(uintptr(fd), "held")
	if f == nil {
		return nil
	}
	defer f.Close()
	var held []launch.Held
	if _, err := f.Seek(0, io.SeekStart); err != nil || json.NewDecoder(f).Decode(&held) != nil {
		return nil
	}
	if inherit(held, false) != nil {
		return nil // it was not written by who had them
	}
	return held
}

// inherit says of all descriptors whether the next image gets them.
func inherit(held []launch.Held, on bool) error {
	for _, h := range held {
		for _, fd := range h.FDs {
			if err := pipe.Inherit(fd, on); err != nil {
				return err
			}
		}
	}
	return nil
}
