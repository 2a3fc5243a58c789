#include "trace/trace_hash.h"

#include <xxhash.h>

#include <array>

#include "base/invariant.h"
#include "trace/fields.h"

namespace kdpc {

namespace {

std::uint64_t number_of(std::string_view text, std::uint64_t seed = 0) { return XXH3_64bits_withSeed(text.data(), text.size(), seed); }

// By the event's place in the variant, which itself may change: only the name counts.
std::uint64_t number_of_name(const Event& event) {
  static const auto numbers = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<std::uint64_t, sizeof...(I)>{number_of(std::variant_alternative_t<I, Event>::name)...};
  }
  (std::make_index_sequence<std::variant_size_v<Event>>{});
  return numbers[event.index()];
}

}  // namespace

// Two words that are equal could be an address as it is and the number of a host address; the chance is that of any collision of the hash.
std::uint64_t TraceHash::number_for(std::uintptr_t address) {
  if (is_number(address) || is_fixed(address)) return address;
  if (const auto known = in_images_.find(address); known != in_images_.end()) return known->second;
  HostImage image;
  if (find_host_image(address, image)) {
    // Where something lies in kdpc's own library is another place in each build of it.
    const std::uintptr_t offset = image.name.starts_with("libkdpc") ? 0 : address - image.base;
    return in_images_.emplace(address, number_of(image.name, offset)).first->second;
  }
  return number_of("host", ordinals_.of(address));
}

void TraceHash::event(const Stamp& stamp, const Event& event) {
  constexpr std::size_t kMostWords = 32;
  std::uint64_t words[kMostWords];
  std::size_t count = 0;
  words[count++] = stamp.time;
  words[count++] = std::uint64_t{stamp.processor} | std::uint64_t{stamp.irql} << 16 | std::uint64_t{stamp.thread} << 32;
  words[count++] = number_of_name(event);
  each_field(event, [&](std::string_view, const FieldValue& value) {
    KDPC_INVARIANT("K.HASH-1", count < kMostWords);
    switch (value.kind) {
      case FieldValue::Kind::Address: words[count++] = number_for(value.bits); return;
      case FieldValue::Kind::Text: words[count++] = number_of(value.text); return;
      default: words[count++] = value.bits;
    }
  });
  state_.hash = XXH3_64bits_withSeed(words, count * sizeof words[0], state_.hash);
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
