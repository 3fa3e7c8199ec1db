//go:build tools

// Package tools names the programs that are built as they are, so that go.mod holds what they need.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kubectl"
)
