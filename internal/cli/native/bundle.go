package native

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/cli/instance"
)

// bundle writes the reports of doctor into a directory, which must not be there, or a new archive.
func (c *command) bundle(ctx context.Context, i instance.Instance, found []Finding, path string) error {
	reports := c.reports(ctx, i, found)
	if strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz") {
		return c.archive(reports, path)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	for _, r := range reports {
		if err := os.WriteFile(filepath.Join(path, r.name), r.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// archive writes reports as a compressed archive.
func (c *command) archive(reports []report, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	for _, r := range reports {
		err = t.WriteHeader(&tar.Header{Name: "upkeep-doctor/" + r.name, Mode: 0o600, Size: int64(len(r.data)), ModTime: c.now()})
		if err == nil {
			_, err = t.Write(r.data)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, t.Close(), z.Close(), f.Close())
}
