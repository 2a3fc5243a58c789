#include "kdpc/descriptor.h"

#include <poll.h>
#include <unistd.h>

namespace kdpc {

namespace {

short state_of(int descriptor) {
  pollfd asked{descriptor, POLLIN, 0};
  return ::poll(&asked, 1, 0) == 1 ? asked.revents : short{0};
}
bool is_readable(int descriptor) { return (state_of(descriptor) & POLLIN) != 0; }

}  // namespace

bool DescriptorInterrupt::connect(BoardHost& host, int descriptor, const Wish& wish) {
  host_ = &host;
  descriptor_ = descriptor;
  wish_ = wish;
  asserted_ = ended_ = false;
  // In the board, so that nothing is called before the watch is known here.
  host.enter([&] { watch_ = host.watch(descriptor, wish.kind == Kind::Edge ? Watching::EveryTime : Watching::UntilReadable, [this] { ready(); }); });
  return watch_ != nullptr;
}

void DescriptorInterrupt::disconnect() {
  if (host_ == nullptr) return;
  watch_.reset();
  host_->enter([this] { assert_level(false); });
  host_ = nullptr;
}

void DescriptorInterrupt::ready() {
  if (wish_.kind == Kind::Level) {
    const short state = state_of(descriptor_);
    if ((state & POLLIN) != 0) return assert_level(true);
    ended_ = state != 0;           // the other end has gone without a word, and this was the last call
    if (!ended_) watch_->again();  // somebody has read it meanwhile
  } else if (wish_.message >= 0) {
    host_->send_message(static_cast<unsigned>(wish_.message));
  } else {
    host_->set_line(static_cast<unsigned>(wish_.line), true);
    host_->set_line(static_cast<unsigned>(wish_.line), false);
  }
}

void DescriptorInterrupt::assert_level(bool asserted) {
  if (asserted == asserted_) return;
  asserted_ = asserted;
  host_->set_line(static_cast<unsigned>(wish_.line), asserted);
}

std::size_t DescriptorInterrupt::read(void* buffer, std::size_t size) {
  if (ended_) return 0;
  const bool readable = is_readable(descriptor_);
  const ssize_t got = readable ? ::read(descriptor_, buffer, size) : 0;
  ended_ = readable && got <= 0;
  if (asserted_ && (ended_ || !is_readable(descriptor_))) {
    assert_level(false);
    if (!ended_) watch_->again();  // at once, if something has come in between
  }
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

}  // namespace kdpc
