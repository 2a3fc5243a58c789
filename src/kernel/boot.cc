// From zeroed memory to a system whose processors can be started: System first, the pool behind it, idle threads, workers.
#include <new>

#include "base/invariant.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "kernel/watchdog.h"
#include "this_machine.h"

namespace kdpc {

static_assert(MachineContract<Machine>);

System* system_pointer = nullptr;

namespace {

constexpr std::uint16_t kNoVector = 0;

void initialize(Processor& processor, unsigned number) {
  const Options& options = sys().options;
  processor.number = static_cast<std::uint16_t>(number);
  processor.ready.initialize();
  processor.dpcs.initialize(static_cast<std::uint16_t>(2 * processor.number));
  processor.threaded_dpcs.initialize(static_cast<std::uint16_t>(2 * processor.number + 1));
  processor.timers.initialize();
  processor.maximum_dpc_queue_depth = options.dpc_queue_depth;
  processor.adjust_dpc_countdown = options.adjust_dpc_threshold;
  processor.storm_vector = kNoVector;
}

void give_idle_thread(Processor& processor) {
  Thread* idle = thread::create("idle", nullptr, nullptr, kIdlePriority, ProcessorSet::only(processor.number));
  KDPC_INVARIANT("K.BOOT-1", idle != nullptr);
  idle->is_idle = true;
  idle->state = ThreadState::Running;
  idle->processor = idle->ideal_processor = processor.number;
  processor.idle_thread = idle;
  processor.current_thread = idle;
  processor.idle = true;
  sys().idle_processors.add(processor.number);
}

}  // namespace

void boot(const BootParameters& parameters) {
  KDPC_INVARIANT("K.BOOT-2", parameters.processors >= 1 && parameters.processors <= kMaxProcessors);
  const std::size_t system_size = sizeof(System) - sizeof(Processor) * (kMaxProcessors - parameters.processors);
  const std::size_t pool_offset = (system_size + 4095) & ~std::size_t{4095};
  KDPC_INVARIANT("K.BOOT-3", parameters.size > pool_offset);
  system_pointer = reinterpret_cast<System*>(parameters.memory);
  System& system = *system_pointer;
  system.options = parameters.options;
  system.processor_count = parameters.processors;
  system.system_time_offset = parameters.system_time;
  system.clock_interval = system.clock_interval_asked = kClockIncrement;
  system.dispatcher_lock.initialize();
  system.vector_lock.initialize();
  system.threads.initialize();
  system.handles.initialize();
  system.events.initialize();
  system.resources.initialize();
  system.pool.initialize(parameters.memory + pool_offset, parameters.size - pool_offset);
  system.pool.initialize_paged(parameters.paged, parameters.paged_size, parameters.paged_view);
  for (unsigned number = 0; number < parameters.processors; ++number) initialize(system.processors[number], number);
  for (unsigned number = 0; number < parameters.processors; ++number) give_idle_thread(system.processors[number]);
  job::initialize(system.jobs);
  passive::initialize(system.passive_services);
  dpc::initialize_flush(system.flush);
  generic_call::initialize(system.generic_call);
  system.ipi_call.lock.initialize();
  work::start_workers();
  threaded_dpc::start_threads();
  watchdog::start();
}

}  // namespace kdpc
