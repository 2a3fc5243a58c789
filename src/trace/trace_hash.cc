#include "trace/trace_hash.h"

#include <xxhash.h>

#include "trace/fields.h"

namespace kdpc {

void TraceHash::add_address(std::uintptr_t address) {
  enum : std::uint64_t { AsIs, InImage, Elsewhere };
  if (is_number(address) || is_fixed(address)) {
    add(AsIs);
    add(address);
    return;
  }
  auto known = in_images_.find(address);
  if (known == in_images_.end()) {
    HostImage image;
    if (find_host_image(address, image))
      known = in_images_.try_emplace(address, std::string(image.name), address - image.base).first;
  }
  if (known != in_images_.end()) {
    add(InImage);
    add(known->second.first);
    add(known->second.second);
    return;
  }
  add(Elsewhere);
  add(ordinals_.of(address));
}

void TraceHash::event(const Stamp& stamp, const Event& event) {
  buffer_.clear();
  add(stamp.time);
  add(std::uint64_t{stamp.processor} | std::uint64_t{stamp.irql} << 16 | std::uint64_t{stamp.thread} << 32);
  add(name_of(event));
  each_field(event, [this](std::string_view, const FieldValue& value) {
    switch (value.kind) {
      case FieldValue::Kind::Address: return add_address(value.bits);
      case FieldValue::Kind::Text: return add(value.text);
      default: return add(value.bits);
    }
  });
  state_.hash = XXH3_64bits_withSeed(buffer_.data(), buffer_.size(), state_.hash);
  ++state_.events;
}

std::size_t TraceHash::mark() {
  state_.host_addresses = ordinals_.count();
  marks_.push_back(state_);
  return marks_.size() - 1;
}

void TraceHash::rewind(std::size_t mark) {
  state_ = marks_[mark];
  ordinals_.forget_after(state_.host_addresses);
}

}  // namespace kdpc
