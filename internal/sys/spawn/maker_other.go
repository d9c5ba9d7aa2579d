//go:build !linux || !(amd64 || arm64)

package spawn

import (
	"errors"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Maker is a process of ours that makes processes. There is none on this system.
type Maker struct{}

// StartMaker fails with errors.ErrUnsupported.
func StartMaker(string, *Marks) (*Maker, error) { return nil, errors.ErrUnsupported }

// PID is 0.
func (m *Maker) PID() int { return 0 }

// Kill does nothing.
func (m *Maker) Kill() {}

// Wait returns at once.
func (m *Maker) Wait() model.Exit { return model.Exit{} }

// Dismiss does nothing.
func (m *Maker) Dismiss() {}

// Start fails with ErrGone.
func (m *Maker) Start(*Request) (*Result, error) { return nil, ErrGone }

// MakerMain is false: there are no makers on this system.
func MakerMain() (handled bool) { return false }
