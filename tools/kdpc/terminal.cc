#include "tools/kdpc/terminal.h"

#include <ntddser.h>

#include <algorithm>

#include "io/requests.h"

namespace kdpc::tool {

namespace {

// A line that was silent for so long has nothing more to say; and who has never spoken will not.
constexpr ULONG kQuietMs = 200, kSilentMs = 5000;

template <class T>
NTSTATUS control(io::File& file, ULONG code, const T& input) {
  io::Request* const request = io::requests::begin_control(file, code, &input, sizeof input, nullptr, 0);
  return request == nullptr ? STATUS_INSUFFICIENT_RESOURCES : io::requests::finish(request).status;
}

// The limits stay the driver's.
NTSTATUS ask_for_handshake(io::File& file) {
  SERIAL_HANDFLOW flow = {};
  io::Request* const ask = io::requests::begin_control(file, IOCTL_SERIAL_GET_HANDFLOW, nullptr, 0, &flow, sizeof flow);
  if (ask == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  if (const NTSTATUS got = io::requests::finish(ask).status; !NT_SUCCESS(got)) return got;
  flow.FlowReplace = (flow.FlowReplace & ~static_cast<ULONG>(SERIAL_RTS_MASK)) | SERIAL_RTS_HANDSHAKE;
  return control(file, IOCTL_SERIAL_SET_HANDFLOW, flow);
}

}  // namespace

void Terminal::use(io::File& file) {
  bool well = true;
  if (const NTSTATUS set = control(file, IOCTL_SERIAL_SET_BAUD_RATE, SERIAL_BAUD_RATE{baud}); !NT_SUCCESS(set)) well = refuse("its rate", set);
  if (const NTSTATUS set = control(file, IOCTL_SERIAL_SET_TIMEOUTS, SERIAL_TIMEOUTS{kQuietMs, 0, kSilentMs, 0, 0}); well && !NT_SUCCESS(set))
    well = refuse("its time-outs", set);
  if (const NTSTATUS set = well && rts_handshake ? ask_for_handshake(file) : STATUS_SUCCESS; !NT_SUCCESS(set)) well = refuse("its handshake", set);
  ready = well;

  io::Request* const write = well && !to_send.empty() ? io::requests::begin_write(file, to_send.data(), to_send.size()) : nullptr;
  while (well && received < room.size()) {
    const std::size_t count = std::min(read_bytes, room.size() - received);
    io::Request* const read = io::requests::begin_read(file, room.data() + received, count);
    if (read == nullptr) {
      well = refuse("a read", STATUS_INSUFFICIENT_RESOURCES);
      break;
    }
    const io::IoResult result = io::requests::finish(read);
    if (!NT_ERROR(result.status)) received += result.information;  // of what has failed nothing is handed over
    if (result.status == STATUS_TIMEOUT) break;                    // the line is quiet
    if (!result.ok()) well = refuse("a read", result.status);
  }
  if (write != nullptr) {
    const io::IoResult result = io::requests::finish(write);
    sent = result.information;
    if (!result.ok()) well = refuse("a write", result.status);
  }

  SERIALPERF_STATS counts = {};
  if (io::Request* const ask = io::requests::begin_control(file, IOCTL_SERIAL_GET_STATS, nullptr, 0, &counts, sizeof counts)) {
    has_counts = io::requests::finish(ask).status == STATUS_SUCCESS;
    chip_overruns = counts.SerialOverrunErrorCount;
    ring_overruns = counts.BufferOverrunErrorCount;
  }
}

}  // namespace kdpc::tool
