// Answers on which nodes the Pods of a DaemonSet run, with the code of Kubernetes, so that a test can hold ours
// against it.
//
// Each line of standard input is a question, each line of standard output its answer, both JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/controller/daemon/util"
)

// A question: the spec of a template, and the nodes that it is asked of.
type question struct {
	Spec  core.PodSpec `json:"spec"`
	Nodes []core.Node  `json:"nodes"`
}

type answer struct {
	// Of each node whether a Pod is to be created there, and whether one that is there stays.
	Nodes [][2]bool `json:"nodes"`
	// Tolerations of a Pod.
	Tolerations []core.Toleration `json:"tolerations"`
	// Affinity of a Pod for the first of the nodes.
	Affinity *core.Affinity `json:"affinity"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	encoder := json.NewEncoder(out)
	for in.Scan() {
		var asked question
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			fmt.Fprintf(os.Stderr, "placement-oracle: not a question: %v\n", err)
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
	set := apps.DaemonSet{Spec: apps.DaemonSetSpec{Template: core.PodTemplateSpec{Spec: asked.Spec}}}
	answers := make([][2]bool, len(asked.Nodes))
	for i := range asked.Nodes {
		// A logger that says nothing.
		run, goOn := daemon.NodeShouldRunDaemonPod(klog.Logger{}, &asked.Nodes[i], &set)
		answers[i] = [2]bool{run, goOn}
	}
	pod := asked.Spec.DeepCopy()
	util.AddOrUpdateDaemonPodTolerations(pod)
	affinity := util.ReplaceDaemonSetPodNodeNameNodeAffinity(pod.Affinity, asked.Nodes[0].Name)
	return answer{Nodes: answers, Tolerations: pod.Tolerations, Affinity: affinity}
}
