-- ARGV: tenant, job, order, then chunk and member of each chunk.
local tenant, job, order = ARGV[1], ARGV[2], tonumber(ARGV[3])
local added = false
for i = 4, #ARGV, 2 do
  if not redis.call('ZSCORE', 'seqway:out', ARGV[i + 1]) then
    redis.call('ZADD', 'seqway:pending:' .. job, ARGV[i], ARGV[i + 1])
    added = true
  end
end
if added then
  redis.call('ZADD', 'seqway:ready:' .. tenant, order, job)
  -- Who comes now starts level with the others: nobody saves up turns.
  local first = redis.call('ZRANGE', 'seqway:tenants', 0, 0, 'WITHSCORES')
  redis.call('ZADD', 'seqway:tenants', 'NX', first[2] or 0, tenant)
end
return 1
