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
      local member = redis.call('ZPOPMIN', 'seqway:pending:' .. job)[1]
      if not member then
        redis.call('ZREM', ready, job)
      elseif not redis.call('ZSCORE', 'seqway:out', member) then
        -- Who is passed over saves up no turns.
        for _, other in ipairs(paused) do
          redis.call('ZADD', 'seqway:tenants', 'XX', 'GT', turn, other)
        end
        redis.call('ZINCRBY', 'seqway:tenants', 1 / (weights[tenant] or 1), tenant)
        redis.call('ZADD', 'seqway:out', now + lease, member)
        return member
      end
    end
  end
  if skipped == 0 then
    redis.call('ZREM', 'seqway:tenants', tenant)
  else
    paused[#paused + 1] = tenant
  end
end
