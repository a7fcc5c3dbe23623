-- ARGV: window, lease in ms, then name and weight of each tenant that has one.
local window, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('ZCARD', 'seqway:out') >= window then return false end
local weights = {}
for i = 3, #ARGV, 2 do weights[ARGV[i]] = tonumber(ARGV[i + 1]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local paused = {}
while true do
  local found = redis.call('ZRANGE', 'seqway:tenants', #paused, #paused, 'WITHSCORES')
  local tenant, turn = found[1], found[2]
  if not tenant then return false end
  local ready, skipped = 'seqway:ready:' .. tenant, 0
  while true do
    local job = redis.call('ZRANGE', ready, skipped, skipped)[1]
    if not job then break end
    if redis.call('EXISTS', 'seqway:paused:' .. job) == 1 then
      skipped = skipped + 1
    else
      local pending = 'seqway:pending:' .. job
      local member = redis.call('ZRANGE', pending, 0, 0)[1]
      if not member then
        redis.call('ZREM', ready, job)
      elseif redis.call('ZSCORE', 'seqway:out', member) then
        redis.call('ZREM', pending, member)
      else
        -- Refused at maxmemory, where no message could be sent; then nothing has changed.
        redis.call('ZADD', 'seqway:out', now + lease, member)
        redis.call('ZREM', pending, member)
        -- Who is passed over saves up no turns.
        for _, other in ipairs(paused) do
          redis.call('ZADD', 'seqway:tenants', 'XX', 'GT', turn, other)
        end
        redis.call('ZINCRBY', 'seqway:tenants', 1 / (weights[tenant] or 1), tenant)
        return {member, tenant, redis.call('ZSCORE', ready, job)}
      end
    end
  end
  if skipped == 0 then
    redis.call('ZREM', 'seqway:tenants', tenant)
  else
    paused[#paused + 1] = tenant
  end
end
