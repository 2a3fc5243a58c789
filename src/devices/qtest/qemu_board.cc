#include "devices/qtest/qemu_board.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace kdpc::qtest {
namespace {

// Below 1 MiB lie holes for ROM and video; drivers get what is above.
constexpr std::uint64_t kFirstDmaAddress = 0x100000;

// A value inside a QEMU option: commas are doubled.
std::string quoted(std::string_view text) {
  std::string result;
  for (const char letter : text) result.append(letter == ',' ? 2 : 1, letter);
  return result;
}

std::string audio_option(const WavOutput& output) {
  return fmt::format("wav,id={},path={},timer-period={},out.frequency={},out.channels={},out.format={}", quoted(output.id), quoted(output.path),
                     output.timer_period.count(), output.frequency, output.channels, quoted(output.format));
}

// QEMU itself would go on without a file it cannot write, and with it without sound.
Result<void> check_writable(const WavOutput& output) {
  const Descriptor file(::open(output.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (file.valid()) return {};
  return Error{fmt::format("the sound file {} cannot be written: {}", output.path, std::strerror(errno))};
}

// One slot per device of the configuration, 0 for accessories.
Result<std::vector<unsigned>> choose_slots(const std::vector<QemuDevice>& devices) {
  std::array<bool, PciBus::kLastSlot + 1> taken{};
  std::vector<unsigned> slots(devices.size(), 0);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const unsigned wish = devices[i].slot;
    if (wish == 0 || devices[i].name.empty()) continue;
    if (wish < PciBus::kFirstSlot || wish > PciBus::kLastSlot || taken[wish]) {
      return Error{fmt::format("PCI slot {} for the QEMU device \"{}\" is taken or not one of {}…{}", wish, devices[i].name, PciBus::kFirstSlot,
                               PciBus::kLastSlot)};
    }
    slots[i] = wish;
    taken[wish] = true;
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (devices[i].name.empty() || slots[i] != 0) continue;
    const auto free = std::find(taken.begin() + PciBus::kFirstSlot, taken.end(), false);
    if (free == taken.end()) return Error{"too many QEMU devices: there is no PCI slot left"};
    slots[i] = static_cast<unsigned>(free - taken.begin());
    *free = true;
  }
  return slots;
}

std::vector<std::string> command_line(const QemuConfig& config, const std::vector<unsigned>& slots) {
  // pit=off: its ticks would stop the clock every 27 ms. clock=vm: the time of day is virtual time, too.
  std::vector<std::string> line{
      "-machine",
      "q35,pit=off,smbus=off,sata=off,memory-backend=ram",
      "-accel",
      "qtest",
      "-m",
      fmt::format("{}", config.memory_megabytes),
      "-object",
      fmt::format("memory-backend-file,id=ram,size={}M,mem-path=/proc/self/fd/{},share=on", config.memory_megabytes, kMemoryDescriptor),
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-rtc",
      "clock=vm,base=2020-01-01",
      "-chardev",
      fmt::format("socket,id=qt,fd={}", kSocketDescriptor),
      "-object",
      "qtest,id=qtest0,chardev=qt,log=none"};
  for (const WavOutput& output : config.outputs) line.insert(line.end(), {"-audiodev", audio_option(output)});
  line.insert(line.end(), config.arguments.begin(), config.arguments.end());
  for (std::size_t i = 0; i < config.devices.size(); ++i) {
    const QemuDevice& device = config.devices[i];
    std::string option = device.driver;
    if (slots[i] != 0) option += fmt::format(",id={},addr={:02x}.0", quoted(device.name), slots[i]);
    if (!device.options.empty()) option += "," + device.options;
    line.insert(line.end(), {"-device", option});
  }
  return line;
}

}  // namespace

Result<std::unique_ptr<QemuBoard>> QemuBoard::start(const QemuConfig& config) {
  if (config.memory_megabytes < 2 || config.memory_megabytes > 2048) {
    return Error{fmt::format("QEMU's guest memory must be 2 to 2048 MiB, not {}", config.memory_megabytes)};
  }
  std::unique_ptr<QemuBoard> board(new QemuBoard(config));
  if (Result<void> launched = board->launch(config); !launched) return launched.error();
  return board;
}

QemuBoard::QemuBoard(const QemuConfig& config) : reply_timeout_(config.reply_timeout) {}

QemuBoard::~QemuBoard() { static_cast<void>(end()); }

Result<void> QemuBoard::launch(const QemuConfig& config) {
  Result<std::vector<unsigned>> slots = choose_slots(config.devices);
  if (!slots) return slots.error();
  for (const WavOutput& output : config.outputs) {
    if (Result<void> writable = check_writable(output); !writable) return writable;
  }
  Result<SharedMemory> memory = SharedMemory::create(std::size_t{config.memory_megabytes} << 20);
  if (!memory) return memory.error();
  memory_ = std::move(memory).value();
  if (config.one_processor) one_processor_.enter();
  Descriptor socket;
  Result<Child> child = Child::start(config.program, command_line(config, *slots), memory_, socket);
  if (!child) return child.error();
  child_ = std::move(child).value();

  channel_ = std::make_unique<Channel>(
      std::move(socket), reply_timeout_, [this](unsigned line, bool asserted) { line_changed(line, asserted); }, [this] { look_for_messages(); });
  clock_ = std::make_unique<Clock>(*channel_);
  channel_->post("irq_intercept_in ioapic");
  if (!clock_->start()) return Error{diagnosis()};
  return set_up_functions(config, *slots);
}

Result<void> QemuBoard::set_up_functions(const QemuConfig& config, const std::vector<unsigned>& slots) {
  Bridge& bridge = *this;
  PciBus bus(bridge);
  bus.route_interrupts();
  for (std::size_t i = 0; i < config.devices.size(); ++i) {
    if (slots[i] == 0) continue;
    functions_.push_back(std::make_unique<PciFunction>(bridge, config.devices[i].name, slots[i]));
    devices_.push_back(functions_.back().get());
    const Result<void> ready = bus.set_up(*functions_.back());
    if (channel_->broken()) return Error{diagnosis()};
    if (!ready) return ready;
  }
  messages_ = bus.messages();
  if (!channel_->flush()) return Error{diagnosis()};
  return {};
}

void QemuBoard::attach(BoardHost& host) {
  host_ = &host;
  for (unsigned line = 0; line < kLines; ++line) {
    if (levels_[line]) host.set_line(line, true);
  }
  if (channel_->broken()) report_failure();
}

PciFunction* QemuBoard::find(std::string_view name) {
  const auto found = std::find_if(functions_.begin(), functions_.end(), [name](const auto& function) { return function->name() == name; });
  return found == functions_.end() ? nullptr : found->get();
}

DmaMemory QemuBoard::dma() const { return {memory_.data() + kFirstDmaAddress, kFirstDmaAddress, memory_.size() - kFirstDmaAddress}; }

Nanoseconds QemuBoard::advance_to(Nanoseconds until) {
  changed_ = false;
  // Posted writes belong to the time reached, so a line they change stops us here already.
  const bool well = channel_->posted() == 0 ? !channel_->broken() : channel_->flush();
  if (well && (changed_ || clock_->run(until, changed_))) return clock_->reached();
  report_failure();
  return until;
}

std::uint64_t QemuBoard::read(BusSpace space, std::uint64_t address, unsigned width) {
  const char letter = width == 1 ? 'b' : width == 2 ? 'w' : width == 4 ? 'l' : 'q';
  char command[40];
  const auto written = space == BusSpace::Port ? fmt::format_to_n(command, sizeof command, "in{} {:#x}", letter, address)
                                               : fmt::format_to_n(command, sizeof command, "read{} {:#x}", letter, address);
  if (const std::optional<std::uint64_t> value = channel_->ask({command, written.size})) return *value & all_ones(width);
  report_failure();
  return all_ones(width);
}

void QemuBoard::write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value) {
  const char letter = width == 1 ? 'b' : width == 2 ? 'w' : width == 4 ? 'l' : 'q';
  char command[64];
  const auto written = fmt::format_to_n(command, sizeof command, "{}{} {:#x} {:#x}", space == BusSpace::Port ? "out" : "write", letter, address,
                                        value & all_ones(width));
  channel_->post({command, written.size});
  if (asserted_ > 0) channel_->flush();  // Q.B-3
  if (channel_->broken()) report_failure();
}

void QemuBoard::line_changed(unsigned line, bool asserted) {
  if (line >= kLines || levels_[line] == asserted) return;
  levels_[line] = asserted;
  asserted_ += asserted ? 1U : ~0U;
  changed_ = true;
  if (host_ != nullptr) host_->set_line(line, asserted);
}

// QEMU has answered everything, so what its functions have written by then is there.
void QemuBoard::look_for_messages() {
  for (unsigned message = 0; message < messages_; ++message) {
    auto& slot = *reinterpret_cast<std::uint32_t*>(memory_.data() + PciBus::slot_address(message));
    if (std::atomic_ref(slot).load(std::memory_order_acquire) == 0) continue;
    std::atomic_ref(slot).store(0, std::memory_order_relaxed);
    changed_ = true;
    if (host_ != nullptr) host_->send_message(message);
  }
}

// Why the channel broke: the child's end says more than the socket's.
std::string QemuBoard::diagnosis() {
  std::string text;
  if (channel_->timed_out()) {
    text = fmt::format("QEMU did not answer for {} ms of host time and was ended", reply_timeout_.count());
    child_.kill();
  } else if (child_.wait(std::chrono::seconds(2))) {
    text = fmt::format("QEMU died: {}", child_.how());
  } else {
    text = fmt::format("the connection to QEMU failed: {}", channel_->failure());
  }
  if (const std::string words = child_.last_words(); !words.empty()) text += fmt::format("; its last words:\n{}", words);
  return text;
}

void QemuBoard::report_failure() {
  if (reported_ || ended_ || host_ == nullptr) return;  // before attach(): told by start() or attach()
  reported_ = true;
  host_->fail(diagnosis());
}

Result<void> QemuBoard::end() {
  if (ended_) return {};
  host_ = nullptr;  // it may be half destroyed, when this is our destructor
  const bool was_well = channel_ != nullptr && !channel_->broken() && channel_->flush();
  ended_ = true;
  if (channel_ != nullptr) channel_->close();
  child_.end();
  one_processor_.leave();
  if (was_well && !child_.ended_well()) {
    return Error{fmt::format("QEMU did not end in order ({}), so its output files may be incomplete: {}", child_.how(), child_.last_words())};
  }
  return {};
}

}  // namespace kdpc::qtest
