// The card that interrupts by itself. What it does depends on its wish, on what is written to it and on the time alone; all that it remembers is in PulseState,
// which a checkpoint copies.
#include <algorithm>
#include <utility>

#include "base/invariant.h"
#include "devices/card.h"

namespace kdpc::cards {

namespace {

enum Offset : std::uint64_t { kControl = 0, kStatus = 4, kCount = 8, kData = 12, kDoorbell = 16, kRing = 20, kMissed = 24, kSize = 32 };
constexpr std::uint64_t kEnabled = 1, kMasked = 2, kPending = 1;
constexpr std::uint32_t kAllOnes = ~std::uint32_t{0};
constexpr Nanoseconds kMicrosecond = 1000;
constexpr unsigned kMostMessages = 16;
constexpr std::uint32_t kRecord = 32, kWord = 4, kMostWords = 6;  // a record and a word in bytes; words in a record behind its length

class PulseCard final : public Card, public Pulse {
 public:
  PulseCard(const PulseWish& wish, unsigned first_message, CardState& state, CardHost& host)
      : wish_(wish), first_message_(first_message), range_{BusSpace::Memory, wish.base, kSize}, state_(state.pulse), host_(host) {
    KDPC_INVARIANT("K.CARD-2", wish.messages <= kMostMessages && wish.period > 0);
  }

  std::string_view name() const override { return wish_.name; }
  std::span<const RegisterRange> registers() const override { return {&range_, 1}; }
  int line() const override { return wish_.line; }
  MessageOffer messages() const override {
    return {wish_.messages != 0 ? MessageOffer::Kind::Msi : MessageOffer::Kind::None, wish_.messages, first_message_};
  }
  void grant_messages(unsigned granted) override { state_.granted = granted; }

  std::uint64_t read(unsigned, std::uint64_t offset, unsigned) override {
    if (is_dead()) return kAllOnes;
    switch (offset) {
      case kControl: return (state_.enabled ? kEnabled : 0) | (state_.masked ? kMasked : 0);
      case kStatus: return state_.pending ? kPending : 0;
      case kCount: return static_cast<std::uint32_t>(state_.pulses);
      case kData: return state_.value;
      case kRing: return state_.ring;
      case kMissed: return state_.missed;
      default: return 0;
    }
  }
  void write(unsigned, std::uint64_t offset, unsigned, std::uint64_t value) override {
    if (is_dead()) return;
    if (offset == kControl) control(value);
    if (offset == kStatus && (value & kPending) != 0 && !is_stuck()) clear();
    if (offset == kDoorbell) ring(host_.now() + std::min(value, std::uint64_t{kAllOnes}) * kMicrosecond);
    if (offset == kRing) set_ring(static_cast<std::uint32_t>(value));
    host_.settle();
  }
  void pulled_out() override {
    control(0);
    set_ring(0);
  }

  bool interrupts() const override { return state_.granted == 0 && state_.enabled && !state_.masked && state_.asks && !is_dead(); }
  Nanoseconds next_event() const override {
    if (!state_.enabled || is_dead()) return kNever;
    Nanoseconds next = std::min({state_.due, state_.glitch_due, state_.again, state_.piece_due});
    for (const Nanoseconds ring : state_.rings) next = std::min(next, ring);
    for (const PulseState::Late& late : state_.late) next = std::min(next, late.due);
    return next;
  }
  void advance(Nanoseconds now) override {
    if (next_event() > now) return;
    if (state_.glitch_due <= now) {
      state_.glitch_due = kNever;
      interrupt_for_nothing();
    }
    if (state_.again <= now) {
      state_.again = kNever;
      send(state_.again_message);
    }
    for (PulseState::Late& late : state_.late)
      if (late.due <= now) {
        late.due = kNever;
        interrupt(late.message);
      }
    if (state_.piece_due <= now) write_piece();
    if (state_.due <= now) {
      state_.due = ++state_.by_itself < wish_.count ? now + wish_.period : kNever;
      expect_glitch(now, wish_.period);
      happen();
    }
    for (Nanoseconds& ring : state_.rings)
      if (ring <= now) {
        ring = kNever;
        happen();
      }
  }
  std::uint64_t pulses() const override { return state_.pulses; }

 private:
  bool is_dead() const { return state_.pulses >= wish_.dead_after; }
  bool is_stuck() const { return state_.pulses > wish_.stuck_after; }  // its status only

  void control(std::uint64_t value) {
    const bool was_enabled = state_.enabled;
    state_.enabled = (value & kEnabled) != 0;
    state_.masked = (value & kMasked) != 0;
    if (state_.enabled && !was_enabled) {
      state_.by_itself = 0;
      state_.due = wish_.count > 0 ? host_.now() + wish_.first : kNever;
      expect_glitch(host_.now(), wish_.first);
      state_.asks = state_.pending;
    }
    if (!state_.enabled) {
      std::fill(std::begin(state_.rings), std::end(state_.rings), kNever);
      std::fill(std::begin(state_.late), std::end(state_.late), PulseState::Late{});
      state_.owed = 0;
      state_.again = state_.piece_due = kNever;
    }
    if (!state_.enabled || state_.masked) return;
    for (unsigned message = 0; message < kMostMessages; ++message)
      if ((state_.owed >> message & 1) != 0) send(message);
    state_.owed = 0;
  }
  void clear() {
    const bool was_pending = std::exchange(state_.pending, false);
    state_.asks = false;
    if (!was_pending || !state_.enabled || state_.stormed == wish_.storm) return;
    ++state_.stormed;
    happen();
  }
  // One that finds every bell ringing is lost, as with doorbells of hardware.
  void ring(Nanoseconds when) {
    if (!state_.enabled) return;
    Nanoseconds* const free = std::find(std::begin(state_.rings), std::end(state_.rings), kNever);
    if (free != std::end(state_.rings)) *free = when;
  }
  // The time from `from` to the next pulse is `length`.
  void expect_glitch(Nanoseconds from, Nanoseconds length) {
    state_.glitch_due = state_.due != kNever && state_.glitches < wish_.spurious ? from + length / 2 : kNever;
  }

  void happen() {
    while (state_.piece_due != kNever) write_piece();  // the one before, if it has taken so long
    if (!is_dead() && !begins_record()) announce();
  }
  void announce() {
    state_.value = value(state_.pulses);
    ++state_.pulses;
    state_.granted == 0 && is_dead() ? glitch() : ask();  // the last that anybody hears of it
  }
  // For the last pulse.
  void ask() {
    state_.pending = true;
    if (state_.lost < wish_.lost) {
      ++state_.lost;
      return;
    }
    const auto message = static_cast<std::uint32_t>(state_.granted != 0 ? (state_.pulses - 1) % state_.granted : 0);
    if (wish_.late == 0 || is_dead()) return interrupt(message);
    const auto free = std::find_if(std::begin(state_.late), std::end(state_.late), [](const auto& late) { return late.due == kNever; });
    if (free != std::end(state_.late)) *free = {host_.now() + wish_.late, message};
  }
  void interrupt(std::uint32_t message) {
    state_.asks = state_.pending;
    if (state_.granted != 0) say(message);
  }

  // -- the ring
  void set_ring(std::uint32_t at) {
    state_.ring = at & ~(kRecord - 1);
    state_.record = 0;
    state_.piece_due = kNever;
  }
  // True: it comes in pieces, and the pulse with them.
  bool begins_record() {
    if (state_.ring == 0 || wish_.records == 0) return false;
    const std::uint32_t at = state_.ring + kRecord * state_.record;
    std::uint32_t done = 0;
    if (!host_.read_memory(at, &done, sizeof done) || done != 0) {
      ++state_.missed;
      return false;
    }
    state_.record = (state_.record + 1) % wish_.records;
    state_.piece_of = at;
    state_.piece_pulse = state_.pulses;
    if (state_.torn == wish_.torn) {
      write_words(0, words(state_.pulses));
      write_done();
      return false;
    }
    ++state_.torn;
    state_.piece = 0;
    write_piece();
    return true;
  }
  void write_piece() {
    const unsigned all = words(state_.piece_pulse), half = (all + 1) / 2;
    const bool is_done_early = wish_.early == PulseWish::Early::Done;
    const unsigned piece = state_.piece++;
    state_.piece_due = piece == (is_done_early ? 1 : 2) ? kNever : host_.now() + wish_.piece;
    if (piece == 0) write_words(0, half);
    if (piece == 1) write_words(half, all);
    if (piece == (is_done_early ? 0 : 2)) write_done();
    if (piece == 0 && wish_.early != PulseWish::Early::Nothing) announce();
    if (piece == 2) state_.pulses == state_.piece_pulse ? announce() : ask();
  }
  // With the first ones the length.
  void write_words(unsigned from, unsigned to) {
    const unsigned all = words(state_.piece_pulse);
    std::uint32_t bytes[1 + kMostWords] = {all * kWord};
    for (unsigned word = 0; word < all; ++word) bytes[1 + word] = value(state_.piece_pulse) + word;
    const unsigned first = from == 0 ? 0 : 1 + from;
    (void)host_.write_memory(state_.piece_of + kWord * (1 + first), bytes + first, kWord * (1 + to - first));
  }
  void write_done() {
    const auto done = static_cast<std::uint32_t>(state_.piece_pulse + 1);
    (void)host_.write_memory(state_.piece_of, &done, sizeof done);
  }

  void interrupt_for_nothing() {
    ++state_.glitches;
    state_.granted != 0 ? say(0) : glitch();
  }
  void glitch() {
    if (state_.enabled && !state_.masked) host_.glitch(static_cast<unsigned>(wish_.line));
  }
  void say(unsigned message) {
    if (state_.masked) {
      state_.owed |= 1U << message;
      return;
    }
    send(message);
    if (state_.twice < wish_.duplicate) {
      ++state_.twice;
      state_.again = host_.now() + kMicrosecond;  // later than the first can still be pending, or the two would be one
      state_.again_message = message;
    }
  }
  void send(unsigned message) { host_.send_message(first_message_ + message); }

  PulseWish wish_;
  unsigned first_message_;
  RegisterRange range_;
  PulseState& state_;
  CardHost& host_;
};

}  // namespace

std::unique_ptr<Card> make_pulse(const PulseWish& wish, unsigned first_message, CardState& state, CardHost& host, Pulse*& pulse) {
  auto made = std::make_unique<PulseCard>(wish, first_message, state, host);
  pulse = made.get();
  return made;
}

}  // namespace kdpc::cards
