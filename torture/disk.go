package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// smallSpace is the tablespace on a site's disk.
const smallSpace = "small"

// diskBytes holds a round's database, as an option of mount.
const diskBytes = "96m"

// disk is a small file system in memory, with the data of the rounds' databases
// and not the server's log, that can be made full.
type disk struct{ dir string }

// newDisk mounts one, for the server whose directory that is. It takes root.
func newDisk(server string) (*disk, error) {
	of, err := os.Stat(server)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("mounting a small file system takes root")
	}
	dir, err := os.MkdirTemp("", "bucketload-disk-")
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+diskBytes+",mode=0755", "bucketload", dir).CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("mount: %w: %s", err, out), os.Remove(dir))
	}
	d := &disk{dir}
	err = os.Mkdir(d.space(), 0o700)
	if owner, ok := of.Sys().(*syscall.Stat_t); ok && err == nil {
		err = os.Chown(d.space(), int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *disk) space() string   { return filepath.Join(d.dir, "space") }
func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no room.
func (d *disk) fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for zeros := make([]byte, 1<<16); err == nil; {
		_, err = f.Write(zeros)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

// clear makes room again.
func (d *disk) clear() error {
	if err := os.Remove(d.ballast()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *disk) close() {
	_ = exec.Command("umount", "--lazy", d.dir).Run() // nothing can be done where it fails
	_ = os.Remove(d.dir)
}
