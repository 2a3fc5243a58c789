// GLib: an idle source for each call, attached to a main context at normal priority.
// needs glib-2.0 from libglib2.0-dev
#include <glib.h>

#include "peer.h"

namespace {

using namespace kdpc::bench;

class Glib {
 public:
  using Item = Work;
  static std::string name() { return fmt::format("GLib {}.{}.{} idle source", glib_major_version, glib_minor_version, glib_micro_version); }
  static constexpr const char* kCarries =
      "a source that is allocated for each call, with a pointer to the work; the context's mutex, and an eventfd where it sleeps";

  Glib() : context_(g_main_context_new()), loop_(g_main_loop_new(context_, FALSE)) {}
  ~Glib() {
    g_main_loop_unref(loop_);
    g_main_context_unref(context_);
  }
  Glib(const Glib&) = delete;
  Glib& operator=(const Glib&) = delete;

  void post(Item& item) {
    GSource* const source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, &call, &item, nullptr);
    g_source_attach(source, context_);
    g_source_unref(source);
  }
  void run() { g_main_context_iteration(context_, FALSE); }
  void serve() { g_main_loop_run(loop_); }
  void stop() { g_main_loop_quit(loop_); }

 private:
  static gboolean call(gpointer item) {
    static_cast<Item*>(item)->run();
    return G_SOURCE_REMOVE;
  }

  GMainContext* context_;
  GMainLoop* loop_;
};

}  // namespace

int main(int argc, char** argv) { return run_peer<Glib>(argc, argv); }
