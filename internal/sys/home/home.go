// Package home says where an instance of the product keeps its files, for each user and each system.
//
// Source: one-model C12, interfaces 2.8.
package home

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
)

// RootVariable relocates all that the product keeps for itself, for tests and for several installations beside each
// other. Source: one-model C12.
const RootVariable = "UPKEEP_ROOT"

// product names the folders of everybody's directories that are ours.
const product = "upkeep"

// Roots are the directories of a user below which the product makes its own folder. All are absolute.
type Roots struct {
	Config  string // settings and definitions, made by people or for them
	State   string // what survives a reboot
	Logs    string // the folder of the logs itself
	Runtime string // what belongs to this boot
}

// Instance is where the native instance of one user keeps its files. All paths are absolute. Nothing is made.
type Instance struct {
	File     string // the configuration file, which need not exist
	Programs string // the directory of the managed definitions
	Logs     string // the directory of the activity log and of the programs' output
	State    string // the lock and the wishes
	Runtime  string // the journal
	Socket   string // where the instance answers
	PIDFile  string
}

// Own are the places of the user who we are; those of root when system is set.
func Own(system bool) (Instance, error) {
	r, err := OwnRoots(system)
	if err != nil {
		return Instance{}, err
	}
	return r.Native(), nil
}

// OwnRoots are the directories of the user who we are, or of root.
func OwnRoots(system bool) (Roots, error) {
	if root := os.Getenv(RootVariable); filepath.IsAbs(root) {
		return Under(root), nil
	}
	if machine() || system {
		return systemRoots(), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return Roots{}, err
	}
	if !filepath.IsAbs(home) {
		return Roots{}, errors.New("the home directory of this user is not known")
	}
	return userRoots(home, os.Getenv), nil
}

// Under are the directories of an installation that has all of its files below one directory, an absolute path.
func Under(root string) Roots {
	return Roots{
		Config: filepath.Join(root, "config"), State: filepath.Join(root, "state"),
		Logs: filepath.Join(root, "logs"), Runtime: filepath.Join(root, "run"),
	}
}

// Native is where the native instance keeps its files below the directories of its user.
func (r Roots) Native() Instance {
	config, runtime := filepath.Join(r.Config, product), filepath.Join(r.Runtime, product)
	return Instance{
		File: filepath.Join(config, "upkeep.conf"), Programs: filepath.Join(config, "programs"), Logs: r.Logs,
		State: filepath.Join(r.State, product, "native"), Runtime: filepath.Join(runtime, "native"),
		Socket: filepath.Join(runtime, "upkeep.sock"), PIDFile: filepath.Join(runtime, "upkeep.pid"),
	}
}

// Foreign is where the instance that runs a configuration of another tool keeps its files: kind is whose, file its absolute
// path. It has one place for this boot and for what survives it: an init system, cron and a login do not agree about the
// directories of a boot, and all of them have to meet the same instance.
func (r Roots) Foreign(kind, file string) Instance {
	sum := sha256.Sum256([]byte(file))
	key := hex.EncodeToString(sum[:8])
	state := filepath.Join(r.State, product, kind, key)
	return Instance{
		File: file, Logs: filepath.Join(r.Logs, kind, key), State: state, Runtime: state,
		Socket: filepath.Join(state, "upkeep.sock"), PIDFile: filepath.Join(state, "upkeep.pid"),
	}
}
