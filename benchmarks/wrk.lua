-- Reports a wrk run as one line of JSON. Arguments: PATH, COUNT; with a COUNT above 1 the `{}` in PATH runs through 0 to COUNT - 1.
function init(args)
   local path, count = args[1] or "/", tonumber(args[2] or "1")
   wrk.path = path
   if count <= 1 then
      return -- wrk formats one request itself and repeats it, without calling Lua
   end
   local requests, at = {}, 0
   for number = 0, count - 1 do
      requests[number] = wrk.format("GET", (path:gsub("{}", number)))
   end
   request = function()
      -- A stride prime to the count visits all of them, no two neighbours in turn.
      at = (at + 7919) % count
      return requests[at]
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      'BENCH {"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "errors": '
         .. '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
      summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
