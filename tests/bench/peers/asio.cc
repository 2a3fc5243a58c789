// Asio by itself, without Boost: a function object posted to an io_context, in whose memory pool it lies until it has run.
// needs asio.hpp from libasio-dev
#define ASIO_STANDALONE
#include <asio.hpp>

#include "peer.h"

namespace {

using namespace kdpc::bench;

class Asio {
 public:
  using Item = Work;
  static std::string name() { return fmt::format("Asio {}.{}.{} post", ASIO_VERSION / 100000, ASIO_VERSION / 100 % 1000, ASIO_VERSION % 100); }
  static constexpr const char* kCarries = "a function object that points to the work; a mutex, and a condition variable where the loop sleeps";

  void post(Item& item) {
    asio::post(context_, [&item] { item.run(); });
  }
  void run() { context_.poll(); }
  void serve() { context_.run(); }
  void stop() { context_.stop(); }

 private:
  asio::io_context context_{1};  // one thread runs it, any thread posts
  asio::executor_work_guard<asio::io_context::executor_type> open_ = asio::make_work_guard(context_);
};

}  // namespace

int main(int argc, char** argv) { return run_peer<Asio>(argc, argv); }
