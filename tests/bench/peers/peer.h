// What others have instead of a DPC, all asked for the same: to run the routine of an object with a context and two arguments, later, in the loop of
// a thread. A newcomer is one more file of this folder: a class as below, the line "// needs …" (../CMakeLists.txt), and a main that gives the class
// to run_peer().
#pragma once
#include <exception>
#include <semaphore>
#include <string>
#include <thread>

#include "../remote.h"

namespace kdpc::bench {

// What a KDPC is to whoever posts it. It belongs to the poster and stays where it is; it is not posted again before its routine has begun.
struct Work {
  void (*routine)(Work* work, void* context, void* argument1, void* argument2) = nullptr;
  void* context = nullptr;
  void* argument1 = nullptr;
  void* argument2 = nullptr;
  void run() { routine(this, context, argument1, argument2); }
};

// All of it is inlined: no call but the peer's own stands between the clock and the peer. A peer may also have
//   prepare(item)     once for each object, before it is first posted
//   post_here(item)   post, by the thread that runs the loop, where the library has a shorter way for that
//   flush()           what was posted takes effect by now, where the library has a way to submit several at once
//   kPolls = true     its loop does not block when there is nothing to do
//   kReference = true it is no peer, but an algorithm ours is set against
// and says why it cannot work here by throwing an exception from its constructor.
template <class P>
concept Peer = requires(P peer, typename P::Item& item) {
  { P::name() } -> std::convertible_to<std::string>;    // with its version
  { P::kCarries } -> std::convertible_to<const char*>;  // what its queue carries, and how its loop learns of it
  requires std::derived_from<typename P::Item, Work>;   // the object, with room for what the library wants in it
  peer.post(item);                                      // by any thread
  peer.run();                                           // runs what has been posted, in this thread, and does not wait
  peer.serve();                                         // in the target thread: waits and runs, until
  peer.stop();                                          // … another thread says so
};

namespace detail {

template <Peer P>
void prepare(P& peer, typename P::Item& item, void (*routine)(Work*, void*, void*, void*), void* context) {
  item.routine = routine;
  item.context = context;
  if constexpr (requires { peer.prepare(item); }) peer.prepare(item);
}
template <Peer P>
void post_here(P& peer, typename P::Item& item, void* argument1, void* argument2) {
  item.argument1 = argument1;
  item.argument2 = argument2;
  if constexpr (requires { peer.post_here(item); }) {
    peer.post_here(item);
  } else {
    peer.post(item);
  }
}
template <Peer P>
void post(P& peer, typename P::Item& item, void* argument1, void* argument2) {
  item.argument1 = argument1;
  item.argument2 = argument2;
  peer.post(item);
}
template <Peer P>
void flush(P& peer) {
  if constexpr (requires { peer.flush(); }) peer.flush();
}
template <class P>
constexpr bool polls() {
  if constexpr (requires { P::kPolls; }) return P::kPolls;
  return false;
}
template <class P>
constexpr bool is_reference() {
  if constexpr (requires { P::kReference; }) return P::kReference;
  return false;
}

inline volatile std::uint64_t calls = 0;
inline void counting_routine(Work*, void*, void*, void*) { calls = calls + 1; }
inline void arrival_routine(Work*, void* context, void*, void*) { static_cast<Arrival*>(context)->now(); }
inline void done_routine(Work*, void* context, void*, void*) { static_cast<Done*>(context)->one_more(); }

// Posts `batch` objects and runs them, in one thread.
template <Peer P, int batch>
void same_core(benchmark::State& state) {
  try {
    const auto items = std::make_unique<typename P::Item[]>(batch);  // outlive the peer, which may have them in lists of its own
    P peer;
    for (int i = 0; i < batch; ++i) prepare(peer, items[i], counting_routine, nullptr);
    calls = 0;
    while (state.KeepRunningBatch(batch)) {
      for (int i = 0; i < batch; ++i) post_here(peer, items[i], nullptr, nullptr);
      peer.run();
    }
    if (calls != static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("not every callback ran once");
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

// A peer whose loop another thread runs, on a processor of its own.
template <Peer P>
class Served {
 public:
  Served(P& peer, int processor)
      : peer_(peer), thread_([&peer, processor] {
          pin_this_thread(processor);
          peer.serve();
        }) {}
  ~Served() {
    peer_.stop();
    thread_.join();
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

 private:
  P& peer_;
  std::thread thread_;
};

// measure(peer, items, processors) with the loop running: the first item has been there and back.
template <Peer P, class Measure>
void to_another_core(benchmark::State& state, std::size_t count, void (*routine)(Work*, void*, void*, void*), void* context, Measure&& measure) {
  const auto processors = two_processors();
  if (!processors) return state.SkipWithError(kOneProcessor);
  try {
    const auto items = std::make_unique<Separate<typename P::Item>[]>(count);
    P peer;
    Arrival first;
    typename P::Item& greeting = items[0];
    prepare(peer, greeting, arrival_routine, &first);
    for (std::size_t i = 1; i < count; ++i) prepare(peer, items[i], routine, context);
    const Pinned pinned(processors->here);
    const Served<P> served(peer, processors->there);
    post(peer, greeting, nullptr, nullptr);
    flush(peer);
    if (!spin_until([&] { return first.when.load(std::memory_order_acquire) != 0; })) return state.SkipWithError(kNoAnswer);
    measure(peer, &items[1]);
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

template <Peer P>
void stream(benchmark::State& state, std::uint64_t count) {
  Done done;
  to_another_core<P>(state, kUnderWay + 1, done_routine, &done, [&](P& peer, Separate<typename P::Item>* items) {
    measure_stream(
        state, done, count, [&](std::size_t n) { post(peer, items[n], nullptr, nullptr); }, [&] { flush(peer); });
  });
}

template <Peer P>
void latency(benchmark::State& state) {
  Arrival arrival;
  // Thirty microseconds: a thread that blocks has gone to sleep by then.
  const std::chrono::microseconds pause(polls<P>() ? 3 : 30);
  to_another_core<P>(state, 2, arrival_routine, &arrival, [&](P& peer, Separate<typename P::Item>* items) {
    measure_latency(state, arrival, pause, [&] {
      post(peer, items[0], nullptr, nullptr);
      flush(peer);
    });
  });
}

}  // namespace detail

template <Peer P>
int run_peer(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  // A second thread, which only waits: in a program that has one thread glibc's mutexes do without their atomic operations.
  std::binary_semaphore over(0);
  std::jthread second([&over] { over.acquire(); });
  benchmark::RegisterBenchmark("same_core", detail::same_core<P, 1>);
  benchmark::RegisterBenchmark("same_core_64", detail::same_core<P, 64>);
  benchmark::RegisterBenchmark("stream", [&](benchmark::State& state) {
    detail::stream<P>(state, arguments.quick ? 10'000 : 100'000);
  })->Iterations(1);
  benchmark::RegisterBenchmark("latency", detail::latency<P>)->Iterations(arguments.quick ? 200 : 2000);
  const int status = run(
      arguments, {}, {},
      {{"peer",
        {{"name", P::name()}, {"kind", detail::is_reference<P>() ? "reference" : "peer"}, {"carries", P::kCarries}, {"polls", detail::polls<P>()}}}});
  over.release();
  return status;
}

}  // namespace kdpc::bench
