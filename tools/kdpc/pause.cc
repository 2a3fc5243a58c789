#include "tools/kdpc/pause.h"

#include "machine/host.h"
#include "trace/symbols.h"

namespace kdpc::tool {

Aside::Aside()
    : thread_([this] {
        std::unique_lock lock(mutex_);
        for (;;) {
          changed_.wait(lock, [this] { return what_ != nullptr || over_; });
          if (over_) return;
          (*what_)();
          what_ = nullptr;
          changed_.notify_all();
        }
      }) {}

Aside::~Aside() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Aside::run(const std::function<void()>& what) {
  std::unique_lock lock(mutex_);
  what_ = &what;
  changed_.notify_all();
  changed_.wait(lock, [this] { return what_ == nullptr; });
}

Pause::Pause(lab::Machine& machine, Stops& stops, Stopped stopped)
    : machine_(machine),
      stops_(stops),
      stopped_(std::move(stopped)),
      namer_([this](std::uintptr_t address) -> const std::string& { return name_of(address); }) {
  machine_.add_sink(*this);
}
Pause::~Pause() { machine_.remove_sink(*this); }

const std::string& Pause::name_of(std::uintptr_t address) {
  const auto known = names_.find(address);
  if (known != names_.end()) return known->second;
  std::string& name = names_[address];
  aside_.run([&] {
    const lab::Place place = machine_.place_of(address);
    if (!place.function.empty()) name = debuggers_name_of(place.image) + "!" + place.function;
  });
  return name;
}

bool Pause::stops_at(const Stamp& stamp, const Event& event) {
  if (stops_.number && number_ >= *stops_.number) return true;
  if (stops_.time && stamp.time >= *stops_.time) return true;
  return stops_.expression != nullptr && number_ > stops_.expression_after && stops_.expression->fits(stamp, event, namer_);
}

void Pause::event(const Stamp& stamp, const Event& event) {
  if (ended_) return;
  ++number_;
  if (!stops_at(stamp, event)) return;
  Then then = Then::GoOn;
  aside_.run([&] { then = stopped_(number_, stamp, event); });
  if (then == Then::GoOn) return;
  ended_ = true;
  host::end_with_fact();
}

}  // namespace kdpc::tool
