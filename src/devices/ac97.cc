// A sound controller after the public data sheets of Intel's I/O controller hubs (82801, "AC '97 audio"), with an AC '97 codec that plays at 48 kHz: three channels
// that fetch descriptors and samples by themselves. Samples are moved in step with time, two channels of 48000 a second; what the data sheet calls a FIFO is not
// modelled, so none ever runs dry. What of a buffer is due is moved when somebody looks at a register, and at the latest when the buffer ends: a driver that
// writes into what is already due, without having asked the card, is heard doing so.
//
// Not there, and said to be not there: rates other than 48 kHz (28h bits 0 and 3), more than two channels, a second codec (80h…FEh), modem codecs, power
// management. Input is silence.
#include <algorithm>
#include <utility>

#include "devices/card.h"

namespace kdpc::cards {

namespace {

constexpr std::uint64_t kMixerPorts = 256, kBusMasterPorts = 64;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr unsigned kPcmOut = 1, kMicIn = 2;  // the first one is PCM in
constexpr unsigned kDescriptors = 32;

// Of a channel: 16 bytes each, from 0.
enum Register : unsigned { kBdbar = 0, kCiv = 4, kPicb = 8 };
constexpr std::uint32_t kGlobalControl = 0x2C, kGlobalStatus = 0x30, kSemaphore = 0x34;
enum Status : std::uint16_t { kHalted = 1, kAtLast = 2, kLastDone = 4, kBufferDone = 8, kRequests = 0x1C };
enum Control : std::uint8_t { kRun = 1, kReset = 2, kOnLast = 4, kOnFifo = 8, kOnBuffer = 0x10, kEnables = kOnLast | kOnFifo | kOnBuffer };
constexpr std::uint32_t kOutOfReset = 2, kWarmReset = 4, kControlBits = 0x3F, kCodecReady = 0x100;
constexpr std::uint32_t kInterruptOnCompletion = 0x80000000;

// The registers a codec like this one has; all others are zero, and not to be written.
struct MixerRegister {
  std::uint8_t offset;
  std::uint16_t at_reset, writable;
};
constexpr MixerRegister kMixer[] = {
    {0x02, 0x8000, 0xBF3F},  // master volume, muted
    {0x18, 0x8808, 0x9F1F},  // volume of what is played, muted
    {0x1A, 0x0000, 0x0707},  // what is recorded
    {0x1C, 0x8808, 0x8F0F},  // how loud
    {0x26, 0x000F, 0x7FF0},  // all parts are powered and ready
    {0x28, 0x0800, 0},       // a codec of revision 2.3
    {0x2C, 0xBB80, 0},       // its rates, in and out: 48000
    {0x2E, 0xBB80, 0},      {0x30, 0xBB80, 0}, {0x32, 0xBB80, 0}, {0x34, 0xBB80, 0}, {0x7C, 0x8384, 0}, {0x7E, 0x7600, 0},  // a SigmaTel STAC9700
};

class Ac97 final : public Card, public SoundCard {
 public:
  Ac97(const SoundCardWish& wish, CardState& state, CardHost& host)
      : wish_(wish),
        ranges_{{BusSpace::Port, wish.base, kMixerPorts}, {BusSpace::Port, wish.base + kMixerPorts, kBusMasterPorts}},
        state_(state.sound),
        host_(host) {
    reset_mixer();
  }

  // -- Device, Card
  std::string_view name() const override { return wish_.name; }
  std::span<const RegisterRange> registers() const override { return ranges_; }
  int line() const override { return wish_.line; }
  std::uint64_t read(unsigned range, std::uint64_t offset, unsigned width) override {
    const std::uint64_t all_ones = ~std::uint64_t{0} >> (64 - 8 * width);
    if (range == 0) {
      state_.semaphore = false;
      if (width != 2 || offset % 2 != 0) return all_ones;
      return offset / 2 < std::size(state_.mixer) ? state_.mixer[offset / 2] : 0;
    }
    if (offset % 4 + width > 4) return all_ones;  // an access does not cross a double word
    for (Channel& channel : state_.channels) catch_up(channel, host_.now());
    return double_word(static_cast<unsigned>(offset & ~3U)) >> 8 * (offset % 4) & all_ones;
  }
  void write(unsigned range, std::uint64_t offset, unsigned width, std::uint64_t value) override {
    if (range == 0) {
      state_.semaphore = false;
      if (width == 2) write_mixer(static_cast<unsigned>(offset), static_cast<std::uint16_t>(value));
      return;
    }
    if (offset % 4 + width > 4) return;
    for (Channel& channel : state_.channels) catch_up(channel, host_.now());
    for (unsigned byte = 0; byte < width; ++byte) write_byte(static_cast<unsigned>(offset) + byte, static_cast<std::uint8_t>(value >> 8 * byte));
    host_.settle();
  }
  bool interrupts() const override {
    return std::any_of(std::begin(state_.channels), std::end(state_.channels), [](const Channel& channel) { return asks(channel); });
  }
  Nanoseconds next_event() const override {
    Nanoseconds next = kNever;
    for (const Channel& channel : state_.channels)
      if (runs(channel)) next = std::min(next, time_of(channel, channel.moved + channel.left));
    return next;
  }
  void advance(Nanoseconds now) override {
    for (Channel& channel : state_.channels) catch_up(channel, now);
  }
  // It moves nothing any more: what it would write to may be somebody else's soon.
  void pulled_out() override {
    for (Channel& channel : state_.channels) reset(channel);
  }

  // -- SoundCard
  std::vector<std::int16_t> played() const override { return {played_.begin(), played_.begin() + state_.played}; }

 private:
  using Channel = SoundState::Channel;

  static bool runs(const Channel& channel) { return (channel.control & kRun) != 0 && (channel.status & kHalted) == 0; }
  static bool asks(const Channel& channel) {
    return ((channel.status & kLastDone) != 0 && (channel.control & kOnLast) != 0) ||
           ((channel.status & kBufferDone) != 0 && (channel.control & kOnBuffer) != 0);
  }
  unsigned number_of(const Channel& channel) const { return static_cast<unsigned>(&channel - state_.channels); }
  // A microphone has one channel.
  unsigned samples_per_frame(const Channel& channel) const { return number_of(channel) == kMicIn ? 1 : 2; }
  std::uint64_t rate_of(const Channel& channel) const { return std::uint64_t{48000} * samples_per_frame(channel); }
  // When that many samples have been moved since it was started.
  Nanoseconds time_of(const Channel& channel, std::uint64_t samples) const {
    const std::uint64_t rate = rate_of(channel);
    return channel.since + (samples * kNsPerSecond + rate - 1) / rate;
  }

  // -- the codec
  void reset_mixer() {
    std::fill(std::begin(state_.mixer), std::end(state_.mixer), std::uint16_t{0});
    for (const MixerRegister& one : kMixer) state_.mixer[one.offset / 2] = one.at_reset;
  }
  void write_mixer(unsigned offset, std::uint16_t value) {
    if (offset == 0) return reset_mixer();
    for (const MixerRegister& one : kMixer)
      if (one.offset == offset) {
        std::uint16_t& its = state_.mixer[offset / 2];
        its = static_cast<std::uint16_t>((its & ~one.writable) | (value & one.writable));
      }
  }

  // -- registers of the bus master
  std::uint32_t double_word(unsigned offset) {
    if (offset == kGlobalControl) return state_.control;
    if (offset == kGlobalStatus) {
      std::uint32_t status = (state_.control & kOutOfReset) != 0 ? kCodecReady : 0;
      for (const Channel& channel : state_.channels)
        if (asks(channel)) status |= 0x20U << number_of(channel);
      return status;
    }
    if (offset == kSemaphore) return std::exchange(state_.semaphore, true) ? 1 : 0;
    if (offset / 16 >= std::size(state_.channels)) return 0;
    const Channel& channel = state_.channels[offset / 16];
    switch (offset % 16) {
      case kBdbar: return channel.list;
      case kCiv: return channel.current | std::uint32_t{channel.last} << 8 | std::uint32_t{channel.status} << 16;
      case kPicb: return channel.left | std::uint32_t{channel.next} << 16 | std::uint32_t{channel.control} << 24;
      default: return 0;
    }
  }
  void write_byte(unsigned offset, std::uint8_t value) {
    if (offset == kGlobalControl) return write_control(value);
    if (offset / 16 >= std::size(state_.channels)) return;
    Channel& channel = state_.channels[offset / 16];
    switch (const unsigned byte = offset % 16) {
      case 0:
      case 1:
      case 2:
      case 3: channel.list = (channel.list & ~(0xFFU << 8 * byte)) | std::uint32_t{byte == 0 ? value & 0xF8U : value} << 8 * byte; break;
      case 5: write_last(channel, value % kDescriptors); break;
      case 6: channel.status = static_cast<std::uint16_t>(channel.status & ~(value & kRequests)); break;
      case 11: write_channel_control(channel, value); break;
      default: break;
    }
  }
  // In cold reset there is no codec, and nothing moves.
  void write_control(std::uint8_t value) {
    state_.control = value & kControlBits & ~kWarmReset;
    if ((value & kOutOfReset) != 0) return;
    reset_mixer();
    for (Channel& channel : state_.channels) reset(channel);
  }
  static void reset(Channel& channel) { channel = {.control = static_cast<std::uint8_t>(channel.control & kEnables)}; }
  void write_channel_control(Channel& channel, std::uint8_t value) {
    if ((value & kReset) != 0) return reset(channel);
    const bool ran = (channel.control & kRun) != 0, is_to_run = (value & kRun) != 0;
    channel.control = value & (kEnables | kRun);
    if (ran && !is_to_run) channel.status |= kHalted;  // a pause, and what is left of the buffer comes after it
    if (!ran && is_to_run && (channel.status & kAtLast) == 0) go_on(channel);
  }
  // There is more: who was at the end of all there was goes on behind it.
  void write_last(Channel& channel, std::uint8_t last) {
    channel.last = last;
    const bool was_at_last = (channel.status & kAtLast) != 0;
    channel.status &= static_cast<std::uint16_t>(~kAtLast);
    if ((channel.control & kRun) == 0 || (channel.status & kHalted) == 0) return;
    if (was_at_last && number_of(channel) == kPcmOut) play_silence((host_.now() - channel.since) * 48000 / kNsPerSecond);
    go_on(channel);
  }
  void go_on(Channel& channel) {
    channel.status &= static_cast<std::uint16_t>(~kHalted);
    channel.since = host_.now();
    channel.moved = 0;
    if (channel.left == 0) fetch(channel);
  }

  // -- moving samples
  // The next descriptor. One without samples is passed over, and without a word.
  void fetch(Channel& channel) {
    for (;;) {
      channel.current = channel.next;
      channel.next = (channel.next + 1) % kDescriptors;
      std::uint32_t descriptor[2] = {~0U, ~0U};  // what is read where there is no memory
      (void)host_.read_memory(channel.list + 8 * channel.current, descriptor, sizeof descriptor);
      channel.address = descriptor[0] & ~1U;
      channel.left = static_cast<std::uint16_t>(descriptor[1]);
      channel.completion_interrupts = (descriptor[1] & kInterruptOnCompletion) != 0;
      if (channel.left != 0) return;
      if (channel.current == channel.last) {
        channel.status |= kHalted;
        return;
      }
    }
  }
  void catch_up(Channel& channel, Nanoseconds now) {
    while (runs(channel)) {
      const std::uint64_t due = (now - channel.since) * rate_of(channel) / kNsPerSecond - channel.moved;
      std::uint64_t count = std::min<std::uint64_t>(due, channel.left);
      if (count < channel.left) count -= count % samples_per_frame(channel);
      move(channel, static_cast<std::uint32_t>(count));
      if (channel.left != 0) return;
      complete(channel);
    }
  }
  void move(Channel& channel, std::uint32_t samples) {
    number_of(channel) == kPcmOut ? play(channel.address, samples) : record_silence(channel.address, samples);
    channel.address += 2 * samples;
    channel.left = static_cast<std::uint16_t>(channel.left - samples);
    channel.moved += samples;
  }
  void complete(Channel& channel) {
    channel.status &= static_cast<std::uint16_t>(~kAtLast);
    if (channel.completion_interrupts) channel.status |= kBufferDone;
    if (channel.current != channel.last) return fetch(channel);
    channel.status |= kLastDone | kHalted | kAtLast;
    channel.since = time_of(channel, channel.moved);
  }
  void play(std::uint32_t address, std::uint32_t samples) {
    played_.resize(state_.played);  // what was played after a checkpoint that came back never was
    played_.resize(state_.played + samples, -1);
    (void)host_.read_memory(address, played_.data() + state_.played, std::size_t{2} * samples);
    state_.played += samples;
  }
  void record_silence(std::uint32_t address, std::uint32_t samples) {
    const std::vector<std::int16_t> silence(samples, 0);
    (void)host_.write_memory(address, silence.data(), 2 * silence.size());
  }
  void play_silence(std::uint64_t frames) {
    played_.resize(state_.played);
    played_.resize(state_.played + 2 * frames, 0);
    state_.played += static_cast<std::uint32_t>(2 * frames);
  }

  SoundCardWish wish_;
  RegisterRange ranges_[2];
  SoundState& state_;
  CardHost& host_;
  std::vector<std::int16_t> played_;
};

}  // namespace

std::unique_ptr<Card> make_sound_card(const SoundCardWish& wish, CardState& state, CardHost& host, SoundCard*& card) {
  auto made = std::make_unique<Ac97>(wish, state, host);
  card = made.get();
  return made;
}

}  // namespace kdpc::cards
