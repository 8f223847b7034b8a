// micro.go: what Go's scheduler, channels and timers cost; see bench/micro.lua, its twin.
//
//	micro NAME    prints "NAME value": CPU nanoseconds per operation, or bytes per task
//
// The unit is CPU time (user + system) of the process. On one core a benchmark that never
// sleeps takes the same wall time, but CPU time does not count what other programs take.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const million = 1000000

// pingpong: two goroutines, two unbuffered channels. One operation is one round trip:
// A sends on ping, B receives it and sends it on pong, A receives it.
func pingpong(n int) {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for i := 0; i < n; i++ {
			pong <- <-ping
		}
	}()
	for i := 0; i < n; i++ {
		ping <- i
		<-pong
	}
}

// transfer: one operation is one value that one goroutine sends and another receives.
func transfer(n, capacity int) {
	ch := make(chan int, capacity)
	go func() {
		for i := 0; i < n; i++ {
			ch <- i
		}
	}()
	for i := 0; i < n; i++ {
		<-ch
	}
}

func oneway(n int)   { transfer(n, 0) }
func buffered(n int) { transfer(n, 128) }

// spawn: one operation is one goroutine that starts and exits at once. They are started
// 1,000 at a time; the parent then yields until all have exited.
func spawn(n int) {
	const batch = 1000
	var left atomic.Int64
	exit := func() { left.Add(-1) }
	for i := 0; i < n; i += batch {
		left.Store(batch)
		for j := 0; j < batch; j++ {
			go exit()
		}
		for left.Load() > 0 {
			runtime.Gosched()
		}
	}
}

// yield: one operation is one yield, by one of two goroutines that do nothing else.
func yield(n int) {
	done := make(chan bool)
	turn := func() {
		for i := 0; i < n/2; i++ {
			runtime.Gosched()
		}
		done <- true
	}
	go turn()
	go turn()
	<-done
	<-done
}

// select4: one operation is one value, sent round robin on four unbuffered channels and
// received by a select over the four.
func select4(n int) {
	a, b, c, d := make(chan int), make(chan int), make(chan int), make(chan int)
	go func() {
		for i := 0; i < n; i += 4 {
			a <- i
			b <- i
			c <- i
			d <- i
		}
	}()
	for i := 0; i < n; i++ {
		select {
		case <-a:
		case <-b:
		case <-c:
		case <-d:
		}
	}
}

// spread: the i-th delay; a million of them, out of order, are one microsecond apart.
func spread(i int) time.Duration {
	return time.Duration(i*7919%million) * time.Microsecond
}

var timers = make([]*time.Timer, million)

// timerCancel: sets a million timers that are a minute away, then stops them all.
// One operation is one timer set and stopped.
func timerCancel() {
	nop := func() {}
	for i := range timers {
		timers[i] = time.AfterFunc(time.Minute+spread(i), nop)
	}
	for i, t := range timers {
		t.Stop()
		timers[i] = nil
	}
}

// timerFire: sets a million timers that fire evenly over the second that begins half a
// second from now, and waits for the last. One operation is one timer set and fired.
func timerFire() {
	var fired atomic.Int64
	done := make(chan bool, 1)
	fire := func() {
		if fired.Add(1) == million {
			done <- true
		}
	}
	for i := 0; i < million; i++ {
		time.AfterFunc(time.Second/2+spread(i), fire)
	}
	<-done
}

// parkMillion: bytes of resident memory per goroutine that waits on a channel, after a
// full collection, with a million of them. A first thousand are there before.
func parkMillion() float64 {
	gate := make(chan bool)
	var started atomic.Int64
	park := func() { started.Add(1); <-gate }
	parkUntil := func(n int) {
		for i := int(started.Load()); i < n; i += 1000 {
			for j := 0; j < 1000; j++ {
				go park()
			}
			runtime.Gosched()
		}
		for int(started.Load()) < n {
			runtime.Gosched()
		}
		runtime.GC()
	}
	parkUntil(1000)
	before := residentBytes()
	parkUntil(1000 + million)
	return (residentBytes() - before) / million
}

func residentBytes() float64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nRss:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		panic(err)
	}
	return float64(kib) * 1024
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// timed: the CPU seconds f takes; garbage of what ran before is not counted.
func timed(f func()) float64 {
	runtime.GC()
	start := cpuSeconds()
	f()
	return cpuSeconds() - start
}

func median(samples []float64) float64 {
	sort.Float64s(samples)
	return samples[len(samples)/2]
}

// perOp: warms up with ever more operations until they take a twentieth of a second, then
// takes the median of five runs of a fifth of a second each (three short ones if quick).
func perOp(run func(n int), quick bool) float64 {
	seconds, repeats := 0.2, 5
	if quick {
		seconds, repeats = 0.05, 3
	}
	n, took := 1000, 0.0
	for {
		took = timed(func() { run(n) })
		if took >= 0.05 {
			break
		}
		n *= 2
	}
	n = (int(float64(n)*seconds/took)/1000 + 1) * 1000
	var samples []float64
	for i := 0; i < repeats; i++ {
		samples = append(samples, timed(func() { run(n) })/float64(n)*1e9)
	}
	return median(samples)
}

// perMillion: after a first run that is not counted, the median of three runs of a million
// operations each (one if quick).
func perMillion(run func(), quick bool) float64 {
	repeats := 3
	if quick {
		repeats = 1
	}
	run()
	var samples []float64
	for i := 0; i < repeats; i++ {
		samples = append(samples, timed(run)/million*1e9)
	}
	return median(samples)
}

func main() {
	runtime.GOMAXPROCS(1)
	scaled := map[string]func(int){
		"pingpong": pingpong, "oneway": oneway, "buffered": buffered,
		"spawn": spawn, "yield": yield, "select4": select4,
	}
	fixed := map[string]func(){"timer_cancel": timerCancel, "timer_fire": timerFire}
	quick := os.Getenv("BENCH_QUICK") != ""
	name := ""
	if len(os.Args) == 2 {
		name = os.Args[1]
	}
	if run := scaled[name]; run != nil {
		fmt.Printf("%s %.1f\n", name, perOp(run, quick))
	} else if run := fixed[name]; run != nil {
		fmt.Printf("%s %.1f\n", name, perMillion(run, quick))
	} else if name == "parked" {
		fmt.Printf("%s %.1f\n", name, parkMillion())
	} else {
		fmt.Fprintln(os.Stderr, "usage: micro pingpong|oneway|buffered|spawn|yield|"+
			"select4|timer_cancel|timer_fire|parked")
		os.Exit(2)
	}
}
